"""What moves cost and save: the configured values first, then averages of what was seen."""

from __future__ import annotations

import pytest
from tiermem.m5.cost_meter import FEW_READS, CostMeter, bytes_per_s
from tiermem.m5.observation import MoveCosts
from tiermem.m5.settings import MonitorSettings

SETTINGS = MonitorSettings(gain_ns=70.0, fast_latency_share=0.25, move_ns=5000.0)


def test_a_rate_is_bytes_over_time() -> None:
    assert bytes_per_s(500, 250_000_000) == 2000.0


def test_nothing_measured_means_as_configured() -> None:
    meter = CostMeter(SETTINGS)
    assert meter.costs == MoveCosts(promote_ns=5000.0, demote_ns=5000.0, gain_ns=70.0)
    meter.settings = MonitorSettings(gain_ns=80.0)
    assert meter.costs.gain_ns == 80.0


def test_costs_follow_what_moves_took() -> None:
    meter = CostMeter(SETTINGS)
    meter.moved_up(100, 900_000)
    assert meter.costs.promote_ns == 9000
    meter.moved_up(100, 1_900_000)
    assert 9000 < meter.costs.promote_ns < 19000
    meter.moved_up(0, 5_000)
    meter.moved_down(50, 100_000)
    assert meter.costs.demote_ns == 2000


def test_gain_is_the_mean_stall_less_what_the_fast_tier_would_take() -> None:
    meter = CostMeter(SETTINGS)
    meter.read_slowly(FEW_READS - 1, 1e9)
    assert meter.costs.gain_ns == 70.0
    meter.read_slowly(10_000, 2_000_000)
    assert meter.costs.gain_ns == pytest.approx(200 * 0.75)
    meter.read_slowly(10_000, 4_000_000)
    assert 200 * 0.75 < meter.costs.gain_ns < 400 * 0.75
