"""The kernel's switches that tiering depends on, as they are now. Nothing is changed here."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tiermem.errors import KernelError
from tiermem.layer.sysfs import Tree, numbered, read_choice, read_flag, read_int, read_text

NUMA_BALANCING_NORMAL = 1
NUMA_BALANCING_TIERING = 2

Value = TypeVar("Value")


@dataclass(frozen=True)
class DamonState:
    """DAMON's sysfs interface: how many kdamonds there are, and which of them run."""

    kdamonds: int
    running: tuple[int, ...]


@dataclass(frozen=True)
class Switches:
    """None everywhere means: this kernel has no such switch, or this user may not see it.

    hidden: the fields of which the latter is so; DAMON's files are for root alone.
    """

    kernel_release: str
    numa_balancing: int | None
    """Sum of NUMA_BALANCING_NORMAL and NUMA_BALANCING_TIERING; 0 is off."""
    numa_balancing_rate_limit_MBps: int | None  # noqa: N815
    lru_gen: int | None
    """Bit mask of /sys/kernel/mm/lru_gen/enabled; 0 is off."""
    thp_enabled: str | None
    thp_defrag: str | None
    zone_reclaim_mode: int | None
    auto_online_blocks: str | None
    damon: DamonState | None
    damon_lru_sort: bool | None
    damon_reclaim: bool | None
    swap_total_bytes: int
    hugetlb_pages: int
    hidden: frozenset[str] = frozenset()


def read_switches(tree: Tree) -> Switches:
    """All of them."""
    mm = tree.sysfs / "kernel/mm"
    kernel, vm = tree.proc / "sys/kernel", tree.proc / "sys/vm"
    modules = tree.sysfs / "module"
    hidden: set[str] = set()

    def seen(field: str, read: Callable[[], Value]) -> Value | None:
        try:
            return read()
        except KernelError as error:
            if error.code not in (errno.EACCES, errno.EPERM):
                raise
            hidden.add(field)
            return None

    def helper(name: str) -> bool | None:
        return seen(name, lambda: read_flag(modules / name / "parameters/enabled"))

    return Switches(
        kernel_release=read_text(kernel / "osrelease") or "",
        numa_balancing=read_int(kernel / "numa_balancing"),
        numa_balancing_rate_limit_MBps=read_int(kernel / "numa_balancing_promote_rate_limit_MBps"),
        lru_gen=read_int(mm / "lru_gen/enabled", base=16),
        thp_enabled=read_choice(mm / "transparent_hugepage/enabled"),
        thp_defrag=read_choice(mm / "transparent_hugepage/defrag"),
        zone_reclaim_mode=read_int(vm / "zone_reclaim_mode"),
        auto_online_blocks=read_text(tree.sysfs / "devices/system/memory/auto_online_blocks"),
        damon=seen("damon", lambda: _read_damon(tree)),
        damon_lru_sort=helper("damon_lru_sort"),
        damon_reclaim=helper("damon_reclaim"),
        swap_total_bytes=_swap_total_bytes(tree),
        hugetlb_pages=_hugetlb_pages(tree),
        hidden=frozenset(hidden),
    )


def _read_damon(tree: Tree) -> DamonState | None:
    kdamonds = tree.sysfs / "kernel/mm/damon/admin/kdamonds"
    count = read_int(kdamonds / "nr_kdamonds")
    if count is None:
        return None
    running = (
        int(path.name)
        for path in numbered(kdamonds, "").values()
        if read_text(path / "state") == "on"
    )
    return DamonState(kdamonds=count, running=tuple(running))


def _swap_total_bytes(tree: Tree) -> int:
    """/proc/swaps: a heading, then `file type size_kB used_kB priority`."""
    lines = (read_text(tree.proc / "swaps") or "").splitlines()[1:]
    return sum(int(line.split()[2]) * 1024 for line in lines if len(line.split()) >= 5)


def _hugetlb_pages(tree: Tree) -> int:
    """Reserved hugetlb pages of all sizes, which no tiering can move."""
    sizes = sorted((tree.sysfs / "kernel/mm/hugepages").glob("hugepages-*kB"))
    return sum(read_int(path / "nr_hugepages") or 0 for path in sizes)
