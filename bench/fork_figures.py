"""From what was found to the tables' rows and the flat figures; no I/O.

Times are modelled time. Where a start was repeated, its median counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import geometric_mean
from bench.fork_catalog import FUNCTION, METHODS
from bench.guest.fork_spec import CRIU_CXL, FORK, MOW_GHOST, ForkResult, Start

SMALL_MIB, LARGE_MIB = 24, 256

GOALS: dict[str, tuple[str, float]] = {
    "restore_speedup_over_criu": ("at least", 2.26),
    "first_call_over_fork": ("at most", 1.14),
    "restore_growth_24_to_256": ("below", 1.10),
    "local_memory_vs_criu": ("at most", 0.13),
}
"""What issue 3 wants of the figures that have a goal."""


@dataclass(frozen=True)
class Row:
    """One way of starting one function. phases_ms: of the restore, in modelled time.

    Memory is in MiB: own, in local memory, after the first call and after warm ones;
    shared: files' and images' pages.
    """

    function: str
    footprint_mib: int
    method: str
    restore_ms: float
    first_call_ms: float
    warm_ms: float
    own_first_mib: float
    own_warm_mib: float
    shared_mib: float
    tables_mib: float
    phases_ms: dict[str, float]


def rows(results: Sequence[ForkResult]) -> list[Row]:
    """In the order of the results and of the catalogue."""
    return [
        _row(result, method, starts)
        for result in results
        for method in METHODS
        if (starts := [one for one in result.starts if one.method == method])
    ]


def _row(result: ForkResult, method: str, starts: Sequence[Start]) -> Row:
    def median(value: Callable[[Start], float]) -> float:
        return statistics.median(value(one) for one in starts)

    return Row(
        function=result.spec.function,
        footprint_mib=result.spec.footprint_mib,
        method=method,
        restore_ms=median(lambda one: one.restore_ns) / 1e6,
        first_call_ms=median(lambda one: one.first_call_ns) / 1e6,
        warm_ms=median(lambda one: statistics.median(one.warm_ns)) / 1e6,
        own_first_mib=median(lambda one: one.after_first.own_bytes) / 2**20,
        own_warm_mib=median(lambda one: one.after_warm.own_bytes) / 2**20,
        shared_mib=median(lambda one: one.after_warm.file_bytes) / 2**20,
        tables_mib=median(lambda one: one.after_warm.table_bytes) / 2**20,
        phases_ms=_phases(sorted(starts, key=lambda one: one.restore_ns)[len(starts) // 2]),
    )


def _phases(start: Start) -> dict[str, float]:
    """Of one restore. The phases were measured in the guest's clock, which knows nothing of
    stalls: each gets its share of the modelled time by that. `rest`: all that whoever
    restored did not see."""
    rest = start.guest_ns - sum(start.phases_ns.values())
    scale = start.restore_ns / start.guest_ns / 1e6
    return {name: ns * scale for name, ns in {"rest": rest, **start.phases_ns}.items()}


def _ratios(
    found: Sequence[Row], mine: str, other: str, value: Callable[[Row], float]
) -> list[float]:
    """Mine over the other's, for each function and footprint."""
    by_case = {(one.function, one.footprint_mib, one.method): one for one in found}
    return [
        value(row) / value(by_case[function, size, other])
        for (function, size, method), row in by_case.items()
        if method == mine and (function, size, other) in by_case
    ]


def _mean(ratios: Sequence[float]) -> float | None:
    return geometric_mean(ratios) if ratios else None


def figures(found: Sequence[Row], results: Sequence[ForkResult]) -> dict[str, float | None]:
    """The flat figures; None where something was left out. CXLfork: MoW with a ghost ready.

    Geometric means over functions and footprints; growth: of the one function that was
    measured at both ends. local_memory_vs_criu: after warm calls.
    cxl_memory_per_extra_clone_share: what each further clone adds to the pool, as a share
    of its image.
    """
    speedups = _ratios(found, CRIU_CXL, MOW_GHOST, lambda row: row.restore_ms)
    first_calls = _ratios(found, MOW_GHOST, FORK, lambda row: row.first_call_ms)
    memory = _ratios(found, MOW_GHOST, CRIU_CXL, lambda row: row.own_warm_mib)
    return {
        "restore_speedup_over_criu": _mean(speedups),
        "first_call_over_fork": _mean(first_calls),
        "restore_growth_24_to_256": growth(found),
        "local_memory_vs_criu": _mean(memory),
        "cxl_memory_per_extra_clone_share": _extra_share(results),
    }


def growth(found: Sequence[Row]) -> float | None:
    """Restore time at the largest footprint over that at the smallest."""
    mine = {
        row.footprint_mib: row.restore_ms
        for row in found
        if row.method == MOW_GHOST and row.function == FUNCTION
    }
    if SMALL_MIB not in mine or LARGE_MIB not in mine:
        return None
    return mine[LARGE_MIB] / mine[SMALL_MIB]


def _extra_share(results: Sequence[ForkResult]) -> float | None:
    shares = []
    for result in results:
        if len(result.sharing) < 2:
            continue
        few, many = result.sharing[0], result.sharing[-1]
        added = (many.pool_bytes - few.pool_bytes) / (many.clones - few.clones)
        shares.append(added / result.image_bytes)
    return statistics.fmean(shares) if shares else None


def missed(found: dict[str, float | None]) -> list[str]:
    """Goals that were not reached, in words."""
    said = []
    for name, (how, goal) in GOALS.items():
        value = found.get(name)
        if value is None:
            continue
        reached = {"at least": value >= goal, "at most": value <= goal, "below": value < goal}
        if not reached[how]:
            said.append(f"{name} is {value:.3g}; the goal is {how} {goal:g}")
    return said
