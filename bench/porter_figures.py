"""From the porter's runs to the table's rows and the flat figures; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.guest.porter_spec import AMPLE, QUARTER, PorterRun

OK = 200
OURS, CRIU = "restore", "criu"


@dataclass(frozen=True)
class PorterRow:
    """One porter under the load. Latencies are modelled time, of calls that were answered;
    calls: how many there were. flood_per_s: of calls that came all at once, how many were
    answered in a second. hows: how many were answered how."""

    start: str
    memory: str
    memory_mib: int
    p50_ms: float
    p99_ms: float
    calls: int
    flood_per_s: float
    local_mib: float
    failed: int
    hows: dict[str, int]


def rows(runs: Sequence[PorterRun]) -> list[PorterRow]:
    """One a run, in their order."""
    return [_row(run) for run in runs]


def _row(run: PorterRun) -> PorterRow:
    answered = [call for call in run.calls if call.status == OK]
    p50, p99 = np.percentile([call.latency_ns / 1e6 for call in answered] or [np.nan], (50, 99))
    return PorterRow(
        start=run.start,
        memory=run.memory,
        memory_mib=run.memory_mib,
        p50_ms=float(p50),
        p99_ms=float(p99),
        calls=len(run.calls),
        flood_per_s=sum(call.status == OK for call in run.flood) / (run.flood_ns / 1e9),
        local_mib=run.peak_local_bytes / 2**20,
        failed=sum(call.status != OK for call in (*run.calls, *run.flood)),
        hows=dict(Counter(call.how for call in answered)),
    )


def figures(found: Sequence[PorterRow]) -> dict[str, float | None]:
    """Ours divided by CRIU's; None where one of the two was not measured."""
    return {
        "porter_p99_vs_criu": _p99_vs_criu(found, AMPLE),
        "porter_p99_vs_criu_quarter_memory": _p99_vs_criu(found, QUARTER),
    }


def _p99_vs_criu(found: Sequence[PorterRow], memory: str) -> float | None:
    p99_ms = {row.start: row.p99_ms for row in found if row.memory == memory and not row.failed}
    if OURS not in p99_ms or CRIU not in p99_ms:
        return None
    return p99_ms[OURS] / p99_ms[CRIU]
