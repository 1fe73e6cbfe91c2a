"""Replays as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from tiermem.replay.runner import MachineSettings, Result
from tiermem.replay.sweep import Job
from tiermem.replay.trace import Trace

NONE = "none"
Outcome = tuple[Job, Result]


def speedup_over_none(result: Result, outcomes: list[Outcome]) -> float | None:
    """Modelled time without a policy over `result`'s; None where `none` was not run."""
    for _, other in outcomes:
        if other.policy == NONE:
            return other.modelled_ms / max(result.modelled_ms, 1e-9)
    return None


def to_table(outcomes: list[Outcome], trace: Trace, machine: MachineSettings) -> Table:
    """One row a replay."""
    fast = machine.fast_frames(trace.pages)
    table = Table(
        box=box.SIMPLE,
        title=f"{trace.name}: {trace.records:,} records{_lost(trace)}, {trace.pages:,} pages, "
        f"{fast:,} of DRAM (modelled time, after {machine.warmup:.0%} warm-up)",
    )
    for name in ("policy", "settings"):
        table.add_column(name, no_wrap=True)
    numbers = "time ms|speed-up|ns/access|DRAM reads|accuracy|listed|up|down|rounds|M acc/s"
    for name in numbers.split("|"):
        table.add_column(name, justify="right", no_wrap=True)
    for job, result in outcomes:
        table.add_row(
            result.policy,
            " ".join(f"{key}={value}" for key, value in job.changes),
            f"{result.modelled_ms:,.1f}",
            _optional(speedup_over_none(result, outcomes), "{:.3f}"),
            f"{result.ns_per_access:.2f}",
            f"{result.dram_read_share:.1%}",
            _optional(result.accuracy_promoted, "{:.3f}"),
            _optional(result.accuracy_listed, "{:.3f}"),
            f"{result.pages_up:,}",
            f"{result.pages_down:,}",
            f"{result.rounds:,}",
            f"{result.accesses_per_s / 1e6:.1f}",
        )
    if not any(job.changes for job, _ in outcomes):
        table.columns.pop(1)
    return table


def _lost(trace: Trace) -> str:
    return f" ({trace.dropped:,} more were dropped)" if trace.dropped else ""


def _optional(value: float | None, shape: str) -> str:
    return "-" if value is None else shape.format(value)


def to_json(outcomes: list[Outcome], trace: Trace, machine: MachineSettings) -> dict[str, Any]:
    """Everything in the table and what it was run with.

    replay_accesses_per_s is the speed of the slowest run that read device lists,
    so one with trackers on; None where there was none.
    """
    tracked = [result.accesses_per_s for job, result in outcomes if job.contender.lists]
    return {
        "replay_accesses_per_s": min(tracked, default=None),
        "trace": {
            "name": trace.name,
            "records": trace.records,
            "dropped": trace.dropped,
            "pages": trace.pages,
        },
        "machine": {**asdict(machine), "dram_pages": machine.fast_frames(trace.pages)},
        "runs": [
            {
                **asdict(result),
                "changes": dict(job.changes),
                "speedup_over_none": speedup_over_none(result, outcomes),
            }
            for job, result in outcomes
        ],
    }
