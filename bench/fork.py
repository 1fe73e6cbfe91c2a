"""The benchmark of CXLfork: `python -m bench.fork` (`make bench-fork`, QUICK=1).

A warm function is started once more: cold, by fork, by CRIU from files in local and in
CXL memory, by CXLfork with each policy, with and without a ghost container ready. Then
the porter gets a load with each of them (bench.porter). One guest, modelled time.
Prints tables, writes bench/out/fork.json and bench/out/fork.png, and exits with status 1
where something could not be measured. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from tiermem.errors import TiermemError

from bench import pool_copy, porter, porter_figures, porter_plan
from bench.benchmark_parts import is_quick
from bench.fork_catalog import FUNCTION, Mode, plan
from bench.fork_figures import figures, missed, rows
from bench.fork_report import WIDTH, print_tables
from bench.fork_session import CXL, DRAM, ForkSession, Measured, fork_session
from bench.guest.fork_spec import ForkResult, ForkSpec
from bench.guest.porter_spec import PorterResult, PorterSpec
from bench.report import environment
from bench.result_file import CHECKOUT, OUT, write_json

WORK = OUT / "work"


@dataclass
class Found:
    """What was measured, and what could not be."""

    measured: list[Measured] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    porter: PorterResult | None = None

    @property
    def results(self) -> list[ForkResult]:
        """Without the host's times."""
        return [one.result for one in self.measured]


def measure(specs: Sequence[ForkSpec], porter_spec: PorterSpec | None) -> Found:
    """All specs, in one guest; in another where one has failed and left the guest unusable.
    The porter's comes last, since it makes the pool anew."""
    found = Found()
    waiting: list[ForkSpec | PorterSpec] = [*specs, *([porter_spec] if porter_spec else [])]
    while waiting:
        with fork_session(WORK) as session:
            while waiting and _measure_one(session, waiting.pop(0), found):
                pass
    return found


def _measure_one(session: ForkSession, spec: ForkSpec | PorterSpec, found: Found) -> bool:
    """False where that failed."""
    name = spec.name if isinstance(spec, ForkSpec) else "porter"
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        if isinstance(spec, ForkSpec):
            found.measured.append(session.run(spec))
        else:
            found.porter = porter.measure(session, spec)
    except TiermemError as error:
        found.failures.append(f"{name}: {error}")
        return False
    return True


def as_json(mode: Mode, specs: Sequence[ForkSpec], found: Found) -> dict[str, Any]:
    """The whole result as plain data."""
    table = rows(found.results)
    porters = porter_figures.rows(found.porter.runs if found.porter else [])
    release = found.results[0].kernel_release if found.results else ""
    about = environment(release)
    about["guest"] |= {"dram": DRAM, "cxl": CXL}
    return {
        "benchmark": "fork",
        "mode": mode,
        "time": "modelled",
        "environment": about,
        "figures": figures(table, found.results)
        | porter_figures.figures(porters)
        | _pool_figures(mode),
        "failures": found.failures,
        "rows": [asdict(row) for row in table],
        "porter_rows": [asdict(row) for row in porters],
        "specs": [asdict(spec) for spec in specs],
        "runs": [asdict(one.result) | {"host_wall_s": one.wall_s} for one in found.measured],
        "porter": asdict(found.porter) if found.porter else None,
    }


def _pool_figures(mode: Mode) -> dict[str, float | None]:
    """How the pool's copies compare, on this host."""
    turns = 3 if mode == "quick" else pool_copy.TURNS
    return {"pool_copy_share_of_memcpy": pool_copy.share_of_memcpy(pool_copy.measure(turns=turns))}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.fork", description=__doc__)
    parser.add_argument("--functions", default="", help="of bench/functions, comma-separated")
    parser.add_argument("--footprints", default="", help="MiB, comma-separated")
    parser.add_argument("--no-porter", action="store_true", help="leave the porter out")
    parser.add_argument("--trace", type=Path, help="the porter's load (see bench.porter)")
    parser.add_argument("--out", type=Path, default=OUT / "fork.json")
    return parser.parse_args()


def _chosen(specs: Sequence[ForkSpec], options: argparse.Namespace) -> list[ForkSpec]:
    functions = options.functions.split(",") if options.functions else []
    sizes = [int(size) for size in options.footprints.split(",") if size]
    return [
        spec
        for spec in specs
        if spec.function in (functions or [spec.function])
        and spec.footprint_mib in (sizes or [spec.footprint_mib])
    ]


def main() -> None:
    """See the module's docstring."""
    options = _arguments()
    mode: Mode = "quick" if is_quick() else "full"
    specs = _chosen(plan(mode), options)
    if not specs:
        sys.exit("bench.fork: nothing of the plan was chosen")
    try:
        load = None if options.no_porter else porter_plan.plan(mode, options.trace)
        status = benchmark(mode, specs, load, options.out)
    except TiermemError as error:
        sys.exit(f"bench.fork: {error}")
    sys.exit(status)


def benchmark(
    mode: Mode, specs: Sequence[ForkSpec], porter_spec: PorterSpec | None, out: Path
) -> int:
    """Measure, report, and return the exit status: 0 when all was measured."""
    from bench.fork_picture import draw  # matplotlib takes a second to import

    begin = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    found = measure(specs, porter_spec)
    tree = as_json(mode, specs, found)
    write_json(out, tree | {"wall_s": round(time.monotonic() - begin)})
    table = rows(found.results)
    if table:
        print_tables(table, found.results)
        draw([row for row in table if row.function == FUNCTION], out.with_suffix(".png"))
    if found.porter is not None:
        Console(width=WIDTH).print(porter.table(porter_figures.rows(found.porter.runs)))
    for name, value in tree["figures"].items():
        print(f"{name:>34}: {'not measured' if value is None else f'{value:.4g}'}")
    for line in missed(tree["figures"]):
        print(f"missed: {line}")
    for failure in found.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    print(", ".join(str(_shown(path)) for path in (out, out.with_suffix(".png"))))
    return 1 if found.failures else 0


def _shown(path: Path) -> Path:
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path


if __name__ == "__main__":
    main()
