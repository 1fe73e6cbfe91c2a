"""The elector: frequency follows density, pages must pay back, and it really stops."""

from __future__ import annotations

from dataclasses import replace
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
)
from tiermem.m5.observation import MoveCosts

from tests.unit.m5.lists import S, load, seen

COSTS = MoveCosts(promote_ns=5000, demote_ns=5000, gain_ns=100)
ratios = st.one_of(st.floats(0, 1e9), st.just(float("inf")))


def elect(
    elector: Elector, rates: list[float], *, both: float = 0.0, room_pages: int = 0
) -> Election:
    """`both`: reads a second of an average page of either tier."""
    observation = seen(
        fast_page_reads_per_s=both,
        slow_page_reads_per_s=both,
        costs=COSTS,
        room_pages=room_pages,
    )
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
    assert elect(elector, [121, 119], both=100).wins.tolist() == [True, False]


def test_reads_are_expected_for_as_long_as_the_phase_has_lasted() -> None:
    elector = Elector(ElectorSettings(first_payback_s=5, payback_s=60, stop_below_pages=1))

    def passing(now_s: int, *, shifted: bool = False) -> list[bool]:
        rates = np.array([21.0, 6.0, 1.7])
        phase_ns = 1 if shifted else None
        observation = replace(seen(now_s * S, costs=COSTS), phase_ns=phase_ns)
        return elector.elect(rates, np.ones(3, dtype=np.bool_), observation).wins.tolist()

    # 10 us of moves, 100 ns a read: 20 reads a second pay in 5 s, 5 in 20, 1.67 in 60.
    assert passing(1000) == [True, False, False]
    assert passing(1004) == [True, False, False]
    assert passing(1021) == [True, True, False]
    assert passing(1100) == [True, True, True]
    assert passing(2000) == [True, True, True]
    assert passing(2001, shifted=True) == [True, False, False]
    assert passing(2018) == [True, True, False]


def test_another_phase_ends_a_stop_and_is_looked_at_again_soon() -> None:
    elector = Elector(ElectorSettings(stop_rounds=2, stop_below_pages=1))
    nobody = np.zeros(1), np.ones(1, dtype=np.bool_)
    quiet = seen(fast_page_reads_per_s=100.0)
    while elector.migrating:
        slow = elector.elect(*nobody, quiet)
    shifted = elector.elect(*nobody, replace(quiet, phase_ns=1))
    assert shifted.migrating
    assert shifted.frequency_hz == elector.settings.max_hz > slow.frequency_hz
    assert not elector.elect(*nobody, quiet).migrating


def test_no_horizon_is_beyond_the_longest() -> None:
    elector = Elector(ElectorSettings(first_payback_s=60, payback_s=2))
    assert elector.horizon_s(0) == 2


@given(st.lists(st.floats(0, 1e6), max_size=40), st.floats(0, 1e5), st.floats(0, 1e5))
def test_busier_tiers_never_let_more_pages_in(
    rates: list[float], first: float, second: float
) -> None:
    low, high = sorted((first, second))
    few = elect(Elector(ElectorSettings()), rates, both=high).wins.sum()
    many = elect(Elector(ElectorSettings()), rates, both=low).wins.sum()
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


def test_pages_pushed_out_are_taken_for_cold_until_they_come_back_hot() -> None:
    elector = Elector(ElectorSettings(victim_weight=1))
    tiers = seen(fast_page_reads_per_s=100.0, slow_page_reads_per_s=10.0)
    assert elector.victim_reads_per_s(tiers) == pytest.approx(10)
    rates, back = np.full(200, 50.0), np.ones(200, dtype=np.bool_)
    for _ in range(30):
        elector.learn_regret(rates, back, 20.0)
    assert elector.victim_reads_per_s(tiers) == pytest.approx(100, rel=0.01)
    for _ in range(30):
        elector.learn_regret(rates, ~back, 20.0)
    assert elector.victim_reads_per_s(tiers) == pytest.approx(10, rel=0.01)


def test_a_handful_of_pages_says_nothing_about_those_pushed_out() -> None:
    elector = Elector(ElectorSettings())
    few = np.full(20, 50.0)
    elector.learn_regret(few, np.ones(20, dtype=np.bool_), 20.0)
    elector.learn_regret(np.full(200, 5.0), np.ones(200, dtype=np.bool_), 20.0)
    assert elector.regret == 0.0


def test_a_slow_tier_that_is_read_more_than_the_fast_one_does_not_raise_the_bar() -> None:
    elector = Elector(ElectorSettings(victim_weight=1))
    tiers = seen(fast_page_reads_per_s=10.0, slow_page_reads_per_s=100.0)
    assert elector.victim_reads_per_s(tiers) == pytest.approx(10)


def test_many_winners_quicken_the_pace_whatever_the_density() -> None:
    elector = Elector(ElectorSettings(base_hz=10, min_hz=1, max_hz=10, busy_pages=512))
    assert elector.pace_hz(0.1, 0) == pytest.approx(1)
    assert elector.pace_hz(0.1, 256) == pytest.approx(5.5)
    assert elector.pace_hz(0.1, 5000) == elector.pace_hz(9.0, 0) == pytest.approx(10)
