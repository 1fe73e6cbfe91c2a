"""Probes beside the daemon: their counts add up, and their troubles stay theirs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tiermem.m5.probe_feed import ProbeFeed, ProbeState
from tiermem.m5.probe_metrics import ProbeCollector
from tiermem.m5.settings import ProbeSettings
from tiermem.probes import QUESTIONS

MIGRATION = {
    "probe": "migration",
    "seconds": 1.0,
    "outcomes": [
        {"reason": "demotion", "mode": "async", "via": "", "moved_pages": 3, "total_ns": 2000}
    ],
    "moves": [{"reason": "demotion", "via": "", "from_node": 0, "to_node": 1, "pages": 3}],
    "latencies": [
        {
            "reason": "demotion",
            "via": "",
            "count": 3,
            "total_ns": 6000,
            "mean_ns": 2000.0,
            "slots_from_ns": {"1024": 2, "4096": 1},
        }
    ],
}
HINT_FAULTS = {
    "faults": 5,
    "by_node": [{"node": None, "outcome": "moved", "faults": 5, "pages": 5, "total_ns": 10}],
    "latencies": {"moved": {"count": 5, "total_ns": 10, "slots_from_ns": {"0": 5}}},
}


def script(tmp_path: Path, text: str) -> Callable[[str, float], list[str]]:
    """A stand-in for the probe's process."""
    file = tmp_path / "probe.py"
    file.write_text(f"import json, sys, time\n{text}\n")
    return lambda name, period_s: [sys.executable, str(file), name]


def follow(feed: ProbeFeed, until: Callable[[], bool]) -> None:
    async def main() -> None:
        task = asyncio.create_task(feed.run())
        try:
            async with asyncio.timeout(20):
                while not until():
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def metrics(feed: ProbeFeed) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(ProbeCollector(feed))
    lines = generate_latest(registry).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def fed(name: str, *answers: dict[str, Any]) -> ProbeFeed:
    feed = ProbeFeed(ProbeSettings.model_validate({"names": [name]}))
    for answer in answers:
        feed.states[name].add(answer)
    return feed


def test_the_probes_that_can_be_named_are_those_there_are() -> None:
    ProbeSettings.model_validate({"names": list(QUESTIONS)})


def test_intervals_add_up() -> None:
    found = metrics(fed("migration", MIGRATION, MIGRATION))
    labels = 'mode="async",reason="demotion",via=""'
    assert found[f"tiermem_m5_probe_migration_moved_pages_total{{{labels}}}"] == 6
    assert found[f"tiermem_m5_probe_migration_total_seconds_total{{{labels}}}"] == 4e-6
    moves = 'from_node="0",reason="demotion",to_node="1",via=""'
    assert found[f"tiermem_m5_probe_migration_moves_pages_total{{{moves}}}"] == 6


def test_latencies_are_cumulative_buckets_in_seconds() -> None:
    found = metrics(fed("migration", MIGRATION))
    name = "tiermem_m5_probe_migration_latency_seconds"
    buckets = {key: value for key, value in found.items() if key.startswith(f"{name}_bucket")}
    assert [*buckets.values()] == [2, 3, 3]
    assert any('le="2.048e-06"' in key for key in buckets)
    assert found[f'{name}_sum{{reason="demotion",via=""}}'] == pytest.approx(6e-6)


def test_tables_by_outcome_and_rows_without_a_node_are_read_too() -> None:
    found = metrics(fed("hint-faults", HINT_FAULTS))
    assert found['tiermem_m5_probe_hint_faults_faults_total{node="none",outcome="moved"}'] == 5
    assert found['tiermem_m5_probe_hint_faults_latency_seconds_count{outcome="moved"}'] == 5


def test_without_probes_there_is_nothing_to_see() -> None:
    assert metrics(ProbeFeed(ProbeSettings())) == {}


def test_a_running_probe_is_read_and_ended_with_the_daemon(tmp_path: Path) -> None:
    line = json.dumps(MIGRATION)
    command = script(tmp_path, f"while True: print({line!r}, flush=True); time.sleep(0.01)")
    feed = ProbeFeed(ProbeSettings(names=["migration"]), command)
    state = feed.states["migration"]
    pids: set[int] = set()

    def has_answered() -> bool:
        pids.update({state.pid} if state.pid else set())
        return state.intervals >= 2

    follow(feed, has_answered)
    assert metrics(feed)['tiermem_m5_probe_attached{probe="migration"}'] == 1
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids.pop(), 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sys.exit('tiermem: probes need python3-bpfcc')", "python3-bpfcc"),
        ("sys.exit(4)", "status 4"),
        ("print('no json', flush=True); time.sleep(60)", "no probe's answer"),
        ("print('[1, 2]', flush=True); time.sleep(60)", "no probe's answer"),
        ("print(json.dumps({'outcomes': [3]}), flush=True); time.sleep(60)", "no probe's answer"),
    ],
)
def test_a_probe_that_cannot_run_says_why_and_is_tried_again(
    tmp_path: Path, text: str, said: str
) -> None:
    feed = ProbeFeed(ProbeSettings(names=["migration"]), script(tmp_path, text), 0.01)
    state = feed.states["migration"]
    follow(feed, lambda: state.starts >= 3)
    assert said in state.trouble
    assert metrics(feed)['tiermem_m5_probe_attached{probe="migration"}'] == 0


def test_one_probe_s_trouble_is_not_another_s(tmp_path: Path) -> None:
    line = json.dumps(HINT_FAULTS)
    text = f"if sys.argv[1] == 'migration': sys.exit('gone')\nprint({line!r}, flush=True)"
    feed = ProbeFeed(
        ProbeSettings(names=["migration", "hint-faults"]),
        script(tmp_path, f"{text}\ntime.sleep(60)"),
        0.01,
    )
    follow(feed, lambda: feed.states["hint-faults"].intervals > 0)
    assert feed.states["hint-faults"].trouble == ""
    assert feed.states["migration"].trouble


def test_a_state_starts_with_nothing_attached() -> None:
    assert ProbeState("migration").trouble == "not attached yet"
