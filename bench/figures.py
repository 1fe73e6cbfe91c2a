"""From runs to the table's rows and the flat figures; no I/O, so that tests can judge it.

Everything is in modelled time. A speed-up above 1 is good for the first-named.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.catalog import M5
from bench.guest.spec import RunResult

NS_PER_S = 1e9
# The kernel's own sum is kept by sampling at ticks; a probe's may be this much larger.
TICKS_NS = 200e6


@dataclass(frozen=True)
class Row:
    """One line of the table: a workload under a policy, averaged over its seeds.

    Shares and ratios are fractions; `accuracy` is the access-count ratio of the
    policy's identification run. None: does not apply, or was not measured.
    """

    workload: str
    policy: str
    seeds: int
    modelled_s: float
    speedup_over_none: float | None
    p50_us: float | None
    p99_us: float | None
    accuracy: float | None
    dram_read_share: float
    pages_up: int
    pages_down: int
    kernel_cpu_share: float | None
    daemon_cpu_share: float | None


def geometric_mean(values: Iterable[float]) -> float:
    """Geometric mean of positive numbers; ValueError when there are none."""
    logs = [math.log(value) for value in values]
    if not logs:
        raise ValueError("a mean of nothing")
    return math.exp(statistics.fmean(logs))


def dram_read_share(reads: Sequence[int]) -> float:
    """Reads served by tier 0 over all reads behind the last-level cache."""
    total = sum(reads)
    return reads[0] / total if total else 0.0


def _mean_of(runs: Sequence[RunResult], key: str, scale: float) -> float | None:
    values = [run.phases["measure"][key] for run in runs if key in run.phases["measure"]]
    return statistics.fmean(values) / scale if values else None


def modelled_s(runs: Sequence[RunResult]) -> float:
    """Modelled seconds of the measured phase, mean over the seeds."""
    return statistics.fmean(run.phases["measure"]["modelled_ns"] for run in runs) / NS_PER_S


def guest_ns(run: RunResult) -> float:
    """The measured phase in the guest's own time: one ns an instruction."""
    return float(run.phases["measure"]["guest_ns"])


def row(runs: Sequence[RunResult], none: Sequence[RunResult], accuracy: float | None) -> Row:
    """Summarise the runs of one workload and policy against those with no policy."""
    seeds = {run.seed for run in runs}
    none = [run for run in none if run.seed in seeds]
    base = modelled_s(none) if len(none) == len(runs) else None
    daemon = [daemon_cpu_ns(run) / guest_ns(run) for run in runs if run.daemon_cpu_ns]
    return Row(
        workload=runs[0].workload,
        policy=runs[0].policy,
        seeds=len(runs),
        modelled_s=modelled_s(runs),
        speedup_over_none=base / modelled_s(runs) if base else None,
        p50_us=_mean_of(runs, "p50_ns", 1e3),
        p99_us=_mean_of(runs, "p99_ns", 1e3),
        accuracy=accuracy,
        dram_read_share=statistics.fmean(
            dram_read_share(run.phases["measure"]["reads"]) for run in runs
        ),
        pages_up=round(statistics.fmean(run.pages_up for run in runs)),
        pages_down=round(statistics.fmean(run.pages_down for run in runs)),
        kernel_cpu_share=_kernel_cpu_share(runs),
        daemon_cpu_share=statistics.fmean(daemon) if daemon else None,
    )


def _kernel_cpu_share(runs: Sequence[RunResult]) -> float | None:
    costs = [(kernel_cpu_ns(run), guest_ns(run)) for run in runs]
    known = [cost / guest for cost, guest in costs if cost is not None]
    return statistics.fmean(known) if len(known) == len(runs) else None


def kernel_cpu_ns(run: RunResult) -> float | None:
    """What tiering cost in the kernel: the probe's account, else the kernel threads' time.

    The moves that a daemon asks for are the kernel's work, whosever process they
    are done in, as they are where the kernel decides by itself. None where the
    probe cannot be right: it saw more than all that was done in the kernel.
    """
    probed = run.notes.get("tiering_cpu_ns")
    kernel = float(probed) if probed is not None else float(sum(run.kernel_cpu_ns.values()))
    if kernel > run.system_cpu_ns + TICKS_NS:
        return None
    return kernel + run.daemon_moving_ns


def daemon_cpu_ns(run: RunResult) -> float:
    """What the daemon itself cost: to look and to decide."""
    return float(run.daemon_cpu_ns - run.daemon_moving_ns)


def speedups(rows: Sequence[Row], over: str, policy: str = M5) -> dict[str, float]:
    """Speed-up of `policy` over another policy, by workload that both ran."""
    times = {(one.workload, one.policy): one.modelled_s for one in rows}
    return {
        workload: times[workload, over] / seconds
        for (workload, name), seconds in times.items()
        if name == policy and (workload, over) in times
    }


def _figure(values: Sequence[float], summary: Any) -> float | None:
    return float(summary(values)) if values else None


def figures(rows: Sequence[Row]) -> dict[str, float | None]:
    """The flat figures that the rows give; None where a policy was left out.

    accuracy: mean over the workloads. geomean_over_*, mean_over_oracle: geometric
    mean over the workloads of M5's speed-up. worst_over_none: the smallest.
    daemon_cpu_share: mean share of one CPU.
    """
    mine = [one for one in rows if one.policy == M5]
    accuracies = [one.accuracy for one in mine if one.accuracy is not None]
    shares = [one.daemon_cpu_share for one in mine if one.daemon_cpu_share is not None]
    return {
        "accuracy": _figure(accuracies, statistics.fmean),
        "geomean_over_damon": _figure([*speedups(rows, "damon").values()], geometric_mean),
        "geomean_over_numab": _figure([*speedups(rows, "numab").values()], geometric_mean),
        "worst_over_none": _figure([*speedups(rows, "none").values()], min),
        "mean_over_oracle": _figure([*speedups(rows, "oracle").values()], geometric_mean),
        "daemon_cpu_share": _figure(shares, statistics.fmean),
    }
