"""DAMON's sysfs for tests, on top of the pretend tree: plain files, nobody behind them."""

from __future__ import annotations

from pathlib import Path

from tiermem.layer.sysfs import Tree
from tiermem.m5.trackers.damon import ADMIN

from tests.unit.m5.trees import make_tree, write

CONTEXT = "0/contexts/0"
FILES = (
    *("0/state", "0/contexts/nr_contexts", f"{CONTEXT}/operations"),
    *(f"{CONTEXT}/monitoring_attrs/intervals/{name}_us" for name in ("sample", "aggr", "update")),
    *(f"{CONTEXT}/monitoring_attrs/nr_regions/{name}" for name in ("min", "max")),
    *(f"{CONTEXT}/targets/nr_targets", f"{CONTEXT}/targets/0/regions/nr_regions"),
    *(f"{CONTEXT}/targets/0/regions/{n}/{end}" for n in (0, 1) for end in ("start", "end")),
    *(f"{CONTEXT}/schemes/nr_schemes", f"{CONTEXT}/schemes/0/action"),
    *(
        f"{CONTEXT}/schemes/0/access_pattern/{key}/{end}"
        for key in ("sz", "nr_accesses", "age")
        for end in ("min", "max")
    ),
)


def with_damon(root: Path, kdamonds: int = 0) -> tuple[Tree, Path]:
    """A tree with DAMON's sysfs, and the folder of its kdamonds."""
    tree = make_tree(root)
    admin = tree.sysfs / ADMIN
    write(admin / "nr_kdamonds", f"{kdamonds}\n")
    for name in FILES:
        write(admin / name, "")
    (admin / f"{CONTEXT}/schemes/0/tried_regions").mkdir(exist_ok=True)
    return tree, admin


def region(admin: Path, number: int, start: int, pages: int, hits: int) -> None:
    """A region that DAMON found accessed."""
    folder = admin / f"{CONTEXT}/schemes/0/tried_regions/{number}"
    for name, value in (("start", start), ("end", start + pages * 4096), ("nr_accesses", hits)):
        write(folder / name, f"{value}\n")
