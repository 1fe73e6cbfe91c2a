"""The elector: frequency follows density, pages must pay back, and it really stops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiermem.m5.elector import (
    Election,
    Elector,
    ElectorSettings,
    density_ratio,
    read_skew,
)
from tiermem.m5.observation import MoveCosts

from tests.unit.m5.lists import load, seen

COSTS = MoveCosts(promote_ns=5000, demote_ns=5000, gain_ns=100)
ratios = st.one_of(st.floats(0, 1e9), st.just(float("inf")))


def elect(
    elector: Elector, rates: list[float], *, fast: float = 0.0, room_pages: int = 0
) -> Election:
    observation = seen(fast_page_reads_per_s=fast, costs=COSTS, room_pages=room_pages)
    return elector.elect(np.array(rates), np.ones(len(rates), dtype=np.bool_), observation)


@given(ratios, ratios)
def test_frequency_is_monotone_and_clamped(first: float, second: float) -> None:
    elector = Elector(ElectorSettings(min_hz=0.5, max_hz=20))
    low, high = sorted((first, second))
    assert 0.5 <= elector.frequency_hz(low) <= elector.frequency_hz(high) <= 20


def test_frequency_is_base_times_ratio_cubed() -> None:
    elector = Elector(ElectorSettings(base_hz=8, min_hz=0.001, max_hz=1000))
    assert elector.frequency_hz(1.0) == pytest.approx(8)
    assert elector.frequency_hz(2.0) == pytest.approx(64)
    assert elector.frequency_hz(0.5) == pytest.approx(1)
    assert elector.frequency_hz(None) == pytest.approx(8)


def test_density_ratio_without_counters_is_unknown() -> None:
    assert density_ratio(load(None), load(3)) is None
    assert density_ratio(load(3), load(None)) is None
    assert density_ratio(load(0), load(0)) == 0.0
    assert density_ratio(load(3), load(0)) == float("inf")
    assert density_ratio(load(6), load(3)) == pytest.approx(2)


def test_a_page_must_pay_for_both_moves() -> None:
    # 10 us of moves, 100 ns a read, 5 s: 20 reads a second are break-even.
    elector = Elector(ElectorSettings(payback_s=5, stop_below_pages=1))
    assert elect(elector, [21, 19]).wins.tolist() == [True, False]


def test_with_room_only_the_promotion_is_paid() -> None:
    elector = Elector(ElectorSettings(payback_s=5, stop_below_pages=1))
    assert elect(elector, [11, 11, 9], room_pages=1).wins.tolist() == [True, False, False]


def test_the_page_pushed_out_counts_against_the_one_that_goes_up() -> None:
    elector = Elector(ElectorSettings(payback_s=5, victim_weight=1, stop_below_pages=1))
    assert elect(elector, [121, 119], fast=100).wins.tolist() == [True, False]


@given(st.lists(st.floats(0, 1e6), max_size=40), st.floats(0, 1e5), st.floats(0, 1e5))
def test_a_busier_fast_tier_never_lets_more_pages_in(
    rates: list[float], first: float, second: float
) -> None:
    low, high = sorted((first, second))
    few = elect(Elector(ElectorSettings()), rates, fast=high).wins.sum()
    many = elect(Elector(ElectorSettings()), rates, fast=low).wins.sum()
    assert few <= many


def test_it_stops_when_nobody_gains_and_nothing_moves_from_then_on() -> None:
    elector = Elector(ElectorSettings(payback_s=5, stop_rounds=3, stop_below_pages=2))
    for _ in range(3):
        election = elect(elector, [1.0] * 10)
    assert not election.migrating
    for _ in range(20):
        assert not elect(elector, [25.0] * 10).wins.any()  # passes, but not by the margin


def test_it_starts_again_when_pages_gain_clearly() -> None:
    elector = Elector(ElectorSettings(payback_s=5, stop_rounds=1, stop_below_pages=2))
    assert not elect(elector, []).migrating
    assert elect(elector, [31.0] * 2).wins.all()


@given(st.lists(st.floats(20.5, 29.5), min_size=30, max_size=30))
def test_rates_around_the_threshold_do_not_make_it_flap(rates: list[float]) -> None:
    elector = Elector(ElectorSettings(stop_rounds=3, stop_below_pages=1, restart_margin=1.5))
    states = [elect(elector, [rate - 5.0]).migrating for rate in rates]
    turns = sum(a != b for a, b in pairwise(states))
    assert turns <= 1


def test_a_stopped_elector_still_looks() -> None:
    elector = Elector(ElectorSettings(stop_rounds=1, min_hz=2))
    assert elect(elector, []).frequency_hz == 2


def test_min_hz_above_max_hz_is_an_error() -> None:
    with pytest.raises(ValidationError, match="min_hz"):
        ElectorSettings(min_hz=5, max_hz=1)


def test_skewed_reads_push_out_pages_far_below_the_average() -> None:
    slow = load(10)
    assert read_skew(np.array([10.0] * 4), slow) == 1.0
    assert read_skew(np.array([200.0] * 4), slow) == pytest.approx(10)
    assert read_skew(np.array([]), slow) == read_skew(np.array([9.0]), load(None)) == 1.0


def test_many_winners_quicken_the_pace_whatever_the_density() -> None:
    elector = Elector(ElectorSettings(base_hz=10, min_hz=1, max_hz=10, busy_pages=512))
    assert elector.pace_hz(0.1, 0) == pytest.approx(1)
    assert elector.pace_hz(0.1, 256) == pytest.approx(5.5)
    assert elector.pace_hz(0.1, 5000) == elector.pace_hz(9.0, 0) == pytest.approx(10)
