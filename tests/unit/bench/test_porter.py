"""The porter's half of the benchmark: its load generator, its plan, and what comes of its runs."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tiermem.cxlfork.porter.functions import PorterSettings
from tiermem.cxlfork.porter.service import Porter

from bench.guest.open_loop import OpenLoop
from bench.guest.porter_spec import (
    AMPLE,
    QUARTER,
    Call,
    PorterResult,
    PorterRun,
    PorterSpec,
)
from bench.porter_figures import figures, rows
from bench.porter_plan import BURST_EACH, CALLS, plan
from tests.unit.cxlfork.porter.test_service import free_port

FUNCTION = """
import time
def handle(event):
    time.sleep(event["sleep_s"])
    return event["sleep_s"] / event.get("over", 1)
"""


def load(folder: Path, arrivals: list[tuple[float, str]], **changes: Any) -> list[Call]:
    """What a porter with one function f, and g that fails, makes of them."""
    file = folder / "f.py"
    file.write_text(FUNCTION)
    port = free_port()
    functions = {name: {"file": str(file)} for name in ("f", "g")}
    values = {"listen": f"127.0.0.1:{port}", "start": "cold", "functions": functions, **changes}
    events = {"f": '{"sleep_s": 0.4}', "g": '{"sleep_s": 0.0, "over": 0}'}

    async def run() -> list[Call]:
        started = asyncio.Event()
        porter = asyncio.create_task(Porter(PorterSettings.model_validate(values)).run(started))
        await started.wait()
        try:
            return await OpenLoop(port, events, time.monotonic_ns).run(arrivals)
        finally:
            porter.cancel()
            await asyncio.gather(porter, return_exceptions=True)

    return asyncio.run(run())


def test_calls_are_sent_when_they_are_due_whatever_became_of_those_before(tmp_path: Path) -> None:
    """Four calls of 0.4 s within 0.3 s, two instances at most: the later ones wait, and
    their latency counts from when they were due."""
    arrivals = [(0.1 * number, "f") for number in range(4)]
    functions = {"f": {"file": str(tmp_path / "f.py"), "instances_max": 1}}
    calls = load(tmp_path, arrivals, functions=functions)
    assert [call.status for call in calls] == [200] * 4
    assert [call.due_s for call in calls] == [at_s for at_s, _ in arrivals]
    assert [call.how for call in calls] == ["cold", "warm", "warm", "warm"]
    first, *later = (call.latency_ns / 1e9 for call in calls)
    assert first >= 0.4
    for number, latency_s in enumerate(later, 2):
        assert latency_s >= number * 0.4 - 0.1 * (number - 1)


def test_a_call_that_fails_is_told_with_its_reason(tmp_path: Path) -> None:
    (call,) = load(tmp_path, [(0.0, "g")])
    assert call.status == 500
    assert "ZeroDivisionError" in call.how


def test_specs_and_results_survive_their_files() -> None:
    spec = plan("quick")
    assert PorterSpec.from_json(spec.to_json()) == spec
    result = PorterResult("6.12", [a_run("restore", AMPLE, [1.0])], {"restore": 5})
    assert PorterResult.from_json(result.to_json()) == result


def test_the_load_has_the_calls_of_the_trace_and_a_burst() -> None:
    spec = plan("quick")
    assert len(spec.arrivals) == CALLS["quick"] + BURST_EACH * len(spec.functions)
    times = [at_s for at_s, _ in spec.arrivals]
    assert times == sorted(times)
    assert {name for _, name in spec.arrivals} == set(spec.functions)
    for one in plan("full").functions.values():
        assert isinstance(json.loads(one.event), dict)
        assert (Path("bench/functions") / one.file).is_file()


def test_only_cold_starts_with_little_memory_get_a_part_of_the_load() -> None:
    spec = plan("full")
    assert (QUARTER, "cold") in [(memory, start) for start, memory in spec.cases]
    parts = {case: spec.arrivals_of(*case) for case in spec.cases}
    assert parts.pop(("cold", QUARTER)) == spec.arrivals[: spec.cold_calls]
    assert all(part == spec.arrivals for part in parts.values())


def test_the_flood_is_all_functions_in_turn_at_once() -> None:
    spec = plan("quick")
    names = list(spec.functions)
    assert spec.flood == [(0.0, name) for name in names * spec.flood_each]


def a_run(start: str, memory: str, latencies_ms: list[float], status: int = 200) -> PorterRun:
    calls = [Call("f", 0.0, round(ms * 1e6), status, "warm") for ms in latencies_ms]
    return PorterRun(
        start,
        memory,
        memory_mib=64,
        calls=calls,
        elapsed_ns=2_000_000_000,
        guest_ns=3_000_000_000,
        peak_local_bytes=5 << 20,
        flood=calls[:50],
        flood_ns=500_000_000,
    )


def test_rows_have_percentiles_and_throughput_of_what_was_answered() -> None:
    (row,) = rows([a_run("criu", AMPLE, [float(n) for n in range(1, 101)])])
    assert (row.p50_ms, row.p99_ms) == (pytest.approx(50.5), pytest.approx(99.01))
    assert (row.calls, row.flood_per_s, row.local_mib, row.failed) == (100, 100.0, 5.0, 0)
    assert row.hows == {"warm": 100}


def test_figures_are_ours_over_crius_and_missing_where_calls_failed() -> None:
    found = [
        a_run("criu", AMPLE, [10.0]),
        a_run("restore", AMPLE, [2.5]),
        a_run("criu", QUARTER, [40.0]),
        a_run("restore", QUARTER, [3.0], status=503),
    ]
    assert figures(rows(found)) == {
        "porter_p99_vs_criu": 0.25,
        "porter_p99_vs_criu_quarter_memory": None,
    }
