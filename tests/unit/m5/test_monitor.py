"""The monitor: rates from counters, costs from what was seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.m5.monitor import Monitor, NoTraffic, TierTraffic, Traffic, TrafficSource
from tiermem.m5.settings import MonitorSettings

from tests.unit.m5.lists import S
from tests.unit.m5.trees import make_tree


class Script:
    """Readings in the order given; the last stays."""

    def __init__(self, *readings: Traffic | None) -> None:
        self.readings = list(readings)

    def read_traffic(self) -> Traffic | None:
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def traffic(fast_bytes: int, slow_bytes: int, reads: int = 0, stall_ns: int = 0) -> Traffic:
    return Traffic(TierTraffic(fast_bytes, 0, 0), TierTraffic(slow_bytes, reads, stall_ns))


def monitor(root: Path, source: TrafficSource) -> Monitor:
    return Monitor((0,), (1,), source, MonitorSettings(), make_tree(root))


def test_bandwidth_is_bytes_over_time(tmp_path: Path) -> None:
    watch = monitor(tmp_path, Script(traffic(0, 0), traffic(500, 100)))
    assert watch.sample(0).fast.read_Bps is None
    seen = watch.sample(S // 2)
    assert (seen.fast.read_Bps, seen.slow.read_Bps) == (1000.0, 200.0)


def test_counters_that_start_again_give_no_rate(tmp_path: Path) -> None:
    watch = monitor(tmp_path, Script(traffic(900, 900), traffic(5, 5), traffic(105, 5)))
    watch.sample(0)
    assert watch.sample(S).fast.read_Bps is None
    assert watch.sample(2 * S).fast.read_Bps == 100.0


def test_without_counters_bandwidth_is_unknown_and_memory_is_not(tmp_path: Path) -> None:
    seen = monitor(tmp_path, NoTraffic()).sample(0)
    assert seen.fast.read_Bps is None
    assert seen.slow.active_bytes == 1000 * 4096
    # Above node 0's low watermarks, 220 pages, and an eighth of the way to the high ones.
    assert seen.room_bytes == (1000 - 234) * 4096


def test_node_memory_is_read_once_a_period(tmp_path: Path) -> None:
    watch = monitor(tmp_path, NoTraffic())
    watch.sample(0)
    make_tree(tmp_path, free_pages=400)
    assert watch.sample(S // 2).fast.free_bytes == 1000 * 4096
    assert watch.fresh_room_bytes() == 166 * 4096
    assert watch.sample(S).fast.free_bytes == 400 * 4096


def test_gain_is_the_stall_that_the_fast_tier_would_not_have(tmp_path: Path) -> None:
    watch = monitor(
        tmp_path, Script(traffic(0, 0), traffic(0, 0, reads=10_000, stall_ns=2_000_000))
    )
    assert watch.costs.gain_ns == MonitorSettings().gain_ns
    watch.sample(0)
    watch.sample(S)
    assert watch.costs.gain_ns == pytest.approx(200 * 0.6)
