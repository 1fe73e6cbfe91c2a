"""The nominator: which pages pass in each mode, and in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.m5.nominator import Nominator, NominatorSettings
from tiermem.m5.observation import Outcome, Verdict

from tests.unit.m5.lists import MS, ROUND_NS, S, lines, pages


def verdicts(nominator: Nominator, now_ns: int, *lists: object) -> dict[int, Verdict]:
    found = nominator.nominate(lists, now_ns)  # type: ignore[arg-type]
    codes = found.verdicts.tolist()
    return {page: Verdict(code) for page, code in zip(found.pages.tolist(), codes, strict=True)}


def test_a_page_must_have_been_in_two_lists_that_no_single_passage_explains() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt"))
    assert verdicts(nominator, 0, pages({1: 30})) == {1: Verdict.ONE_OFF}
    found = verdicts(nominator, ROUND_NS, pages({1: 30, 2: 30}))
    assert found == {1: Verdict.ONE_OFF, 2: Verdict.ONE_OFF}
    found = verdicts(nominator, 3 * ROUND_NS, pages({1: 30, 2: 30}))
    assert found == {1: Verdict.PROMOTE, 2: Verdict.ONE_OFF}


@pytest.mark.parametrize("gap_s", [0.25, 1, 2.5, 10, 600])
def test_seldom_lists_are_remembered_from_one_to_the_next(gap_s: float) -> None:
    nominator = Nominator(NominatorSettings(mode="hpt"))
    for step in range(3):
        found = verdicts(nominator, round(step * gap_s * S), pages({1: 20}))
    assert found == {1: Verdict.PROMOTE}


def test_a_scan_that_never_comes_back_nominates_nothing() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt"))
    for step in range(50):
        passing = dict.fromkeys(range(step * 4096, (step + 1) * 4096), 64)
        found = verdicts(nominator, step * ROUND_NS, pages(passing))
        assert set(found.values()) <= {Verdict.ONE_OFF}


def test_one_list_is_enough_for_reads_that_no_scan_makes() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt"))
    assert verdicts(nominator, 0, pages({1: 128})) == {1: Verdict.PROMOTE}


def test_hpt_goes_by_reads() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt", min_visits=1, caution=0))
    found = nominator.nominate((pages({1: 10, 2: 30, 3: 20}),), ROUND_NS)
    assert found.pages.tolist() == [2, 3, 1]


def test_hwt_takes_pages_with_enough_hot_lines() -> None:
    settings = NominatorSettings(mode="hwt", min_visits=1, min_hot_lines=4)
    dense = {64 * 5 + line: 10 for line in range(4)}
    sparse = {64 * 6 + line: 90 for line in range(3)}
    found = verdicts(Nominator(settings), ROUND_NS, lines({**dense, **sparse}))
    assert found == {5: Verdict.PROMOTE, 6: Verdict.SPARSE}


def test_hwt_remembers_lines_of_earlier_lists() -> None:
    settings = NominatorSettings(mode="hwt", min_visits=1, min_hot_lines=4, mask_lists=8)
    nominator = Nominator(settings)
    for step, first in enumerate((0, 2)):
        hot = {64 * 5 + first + line: 10 for line in range(2)}
        found = verdicts(nominator, step * ROUND_NS, lines(hot))
    assert found == {5: Verdict.PROMOTE}


def test_of_two_equally_hot_pages_the_dense_one_goes_first() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt+hwt", min_visits=1))
    hot_lines = {64 * 2 + line: 5 for line in range(32)}
    found = nominator.nominate((pages({1: 100, 2: 100}), lines(hot_lines)), ROUND_NS)
    assert found.pages.tolist() == [2, 1]
    assert found.hot_lines.tolist() == [32, 0]


def test_density_does_not_beat_twice_the_heat() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt+hwt", min_visits=1, line_weight=1.0))
    hot_lines = {64 * 2 + line: 5 for line in range(64)}
    found = nominator.nominate((pages({1: 201, 2: 100}), lines(hot_lines)), ROUND_NS)
    assert found.pages.tolist() == [1, 2]


@given(st.sets(st.integers(0, 63), min_size=1))
def test_hot_lines_are_those_that_were_listed(hot: set[int]) -> None:
    nominator = Nominator(NominatorSettings(mode="hwt", min_visits=1, min_hot_lines=1))
    found = nominator.nominate((lines({64 * 9 + line: 1 for line in hot}),), ROUND_NS)
    assert found.hot_lines.tolist() == [len(hot)]


@pytest.mark.parametrize("rounds", [1, 5, 40])
def test_the_rate_of_a_steady_page_is_right_from_the_first_list_on(rounds: int) -> None:
    nominator = Nominator(NominatorSettings(mode="hpt", caution=0))
    for step in range(1, rounds + 1):
        found = nominator.nominate((pages({1: 50}),), step * ROUND_NS)
    assert found.reads_per_s[0] == pytest.approx(500, rel=0.1)


def test_a_rate_is_trusted_the_more_the_oftener_it_was_seen() -> None:
    cautious = Nominator(NominatorSettings(mode="hpt", caution=1.0))
    rates = []
    for step in range(1, 30):
        found = cautious.nominate((pages({1: 20}),), step * ROUND_NS)
        rates.append(float(found.reads_per_s[0]))
    assert rates[0] < 0.1 * 200
    assert 0.6 * 200 < rates[-1] < 200


def test_after_a_change_of_phase_rates_are_those_of_the_new_one() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt", caution=0))
    for step in range(1, 100):
        nominator.nominate((pages({1: 50}),), step * ROUND_NS)
    # The phase began in the middle of a round; page 2 is read 1000 times a second in it.
    nominator.forget(ROUND_NS // 2)
    found = nominator.nominate((pages({2: 50}),), 100 * ROUND_NS)
    assert found.reads_per_s[0] == pytest.approx(500, rel=0.1)  # over the whole round
    found = nominator.nominate((pages({2: 100}),), 101 * ROUND_NS)
    assert found.reads_per_s[0] == pytest.approx(1000, rel=0.05)
    found = nominator.nominate((pages({1: 1}),), 102 * ROUND_NS)
    assert found.reads_per_s[0] < 100


def test_a_page_that_came_back_down_is_held_back() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt", min_visits=1, backoff_ms=1000))
    nothing = np.empty(0, dtype=np.uint64)
    nominator.nominate((pages({1: 500}),), 0)
    nominator.settle(Outcome(0, np.array([1], dtype=np.uint64), nothing))
    assert verdicts(nominator, 500 * MS, pages({1: 500})) == {1: Verdict.BACKED_OFF}
    assert verdicts(nominator, 2 * S, pages({1: 500})) == {1: Verdict.PROMOTE}


def test_pages_that_cannot_move_are_not_tried_every_round() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt", min_visits=1))
    nothing = np.empty(0, dtype=np.uint64)
    nominator.settle(Outcome(0, nothing, np.array([1], dtype=np.uint64)))
    assert verdicts(nominator, MS, pages({1: 500})) == {1: Verdict.BACKED_OFF}


def test_a_round_without_lists_is_no_error() -> None:
    for mode in ("hpt", "hwt", "hpt+hwt"):
        nominator = Nominator(NominatorSettings(mode=mode))  # type: ignore[arg-type]
        assert nominator.nominate((), 0).pages.size == 0
        assert nominator.nominate((pages({}), lines({})), 1).pages.size == 0


def test_a_floor_passes_over_pages_that_are_not_worth_a_look() -> None:
    nominator = Nominator(NominatorSettings(mode="hpt+hwt", min_visits=1, caution=0))
    listed = (pages({1: 50, 2: 5}), lines({64: 9, 128: 9}))
    found = nominator.nominate(listed, ROUND_NS, floor_reads_per_s=100.0)
    assert found.pages.tolist() == [1]
    assert found.hot_lines.tolist() == [1]
