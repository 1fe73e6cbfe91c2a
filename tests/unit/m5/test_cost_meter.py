"""What moves cost and save: the configured values first, then averages of what was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.m5.cost_meter import FEW_READS, CostMeter, bytes_per_s
from tiermem.m5.observation import MoveCosts
from tiermem.m5.settings import MonitorSettings

SETTINGS = MonitorSettings(
    gain_ns=70.0, fast_latency_share=0.25, promote_ns=5000.0, demote_ns=5000.0
)


def test_a_rate_is_bytes_over_time() -> None:
    assert bytes_per_s(500, 250_000_000) == 2000.0


def test_nothing_measured_means_as_configured() -> None:
    meter = CostMeter(SETTINGS)
    assert meter.costs == MoveCosts(promote_ns=5000.0, demote_ns=5000.0, gain_ns=70.0)
    meter.settings = MonitorSettings(gain_ns=80.0)
    assert meter.costs.gain_ns == 80.0


def test_costs_follow_what_moves_took() -> None:
    meter = CostMeter(SETTINGS)
    meter.moved_up(100_000, 900_000_000)
    assert meter.costs.promote_ns == pytest.approx(9000, rel=0.02)
    meter.moved_up(1000, 19_000_000)
    assert 12000 < meter.costs.promote_ns < 16000
    meter.moved_up(0, 5_000)
    assert meter.costs.demote_ns == 5000
    meter.moved_down(1_000_000, 2_000_000_000)
    assert meter.costs.demote_ns == pytest.approx(2000, rel=0.02)


def test_a_page_or_two_say_little_of_what_many_cost() -> None:
    meter = CostMeter(SETTINGS)
    meter.moved_up(2, 160_000)
    assert meter.costs.promote_ns == pytest.approx(5000, rel=0.03)


def test_one_hard_turn_of_kswapd_is_not_believed_at_once() -> None:
    meter = CostMeter(MonitorSettings())
    meter.moved_down(1800, 1800 * 240_000)
    assert meter.costs.demote_ns < 3 * MonitorSettings().demote_ns
    for _ in range(10):
        meter.moved_down(3000, 3000 * 25_000)
    assert meter.costs.demote_ns == pytest.approx(25_000, rel=0.2)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10**9)), min_size=1))
def test_an_average_lies_between_what_it_is_the_average_of(moves: list[tuple[int, int]]) -> None:
    meter = CostMeter(SETTINGS)
    seen = [SETTINGS.demote_ns]
    for pages, spent_ns in moves:
        meter.moved_down(pages, spent_ns)
        seen.append(spent_ns / pages)
        assert min(seen) * 0.999 <= meter.costs.demote_ns <= max(seen) * 1.001


def test_gain_is_the_mean_stall_less_what_the_fast_tier_would_take() -> None:
    meter = CostMeter(SETTINGS)
    meter.read_slowly(FEW_READS - 1, 1e9)
    assert meter.costs.gain_ns == 70.0
    meter.read_slowly(10_000, 2_000_000)
    assert meter.costs.gain_ns == pytest.approx(200 * 0.75)
    meter.read_slowly(10_000, 4_000_000)
    assert 200 * 0.75 < meter.costs.gain_ns < 400 * 0.75
