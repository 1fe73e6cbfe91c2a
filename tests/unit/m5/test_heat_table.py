"""The heat table in C: the same as its reference, and what happens when places run out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.m5.heat_table import HeatTable, Rules
from tiermem.m5.observation import Verdict

from tests.unit.m5.heat_reference import Reference
from tests.unit.m5.lists import MS, S, lines, pages

RULES = Rules(
    window_s=1.0,
    interval_s=0.1,
    floor_reads_per_s=0.0,
    min_visits=1.5,
    sure_reads=128,
    caution=0.0,
    line_weight=1.0,
    min_hot_lines=0,
    backoff_ns=S,
)


def table(places: int = 4096, half_life_ns: int = S, mask_rounds: int = 4) -> HeatTable:
    return HeatTable(places, half_life_ns, mask_rounds)


def judged(
    heat: HeatTable, rules: Rules, now_ns: int, round_number: int
) -> dict[int, tuple[float, int, Verdict]]:
    found = heat.judge(rules, 4096, now_ns, now_ns, round_number)
    return {
        int(one["page"]): (
            float(one["reads_per_s"]),
            int(one["hot_lines"]),
            Verdict(int(one["verdict"])),
        )
        for one in found
    }


ROUND = st.tuples(
    st.integers(1, 3 * S),  # since the round before
    st.dictionaries(st.integers(0, 40), st.integers(1, 300), max_size=12),  # pages: reads
    st.dictionaries(st.integers(0, 41 * 64), st.just(1), max_size=12),  # lines
    st.sets(st.integers(0, 40), max_size=3),  # given up at its end
)


@settings(max_examples=60)
@given(st.lists(ROUND, min_size=1, max_size=12), st.floats(0, 2), st.integers(0, 2))
def test_every_round_is_judged_as_by_the_reference(
    rounds: list[tuple[int, dict[int, int], dict[int, int], set[int]]],
    caution: float,
    min_hot_lines: int,
) -> None:
    heat, reference = table(), Reference(S, 4)
    rules = replace(RULES, caution=caution, min_hot_lines=min_hot_lines)
    now_ns = 0
    for number, (pause_ns, listed, hot_lines, gone) in enumerate(rounds, 1):
        now_ns += pause_ns
        heat.add(pages(listed), now_ns, number, as_heat=False)
        heat.add(lines(hot_lines), now_ns, number, as_heat=False)
        for page, reads in listed.items():
            reference.add_page(page, reads, now_ns, number)
        for line in hot_lines:
            reference.add_line(line, number)
        found = judged(heat, rules, now_ns, number)
        assert set(found) == set(listed)
        for page, (rate, found_lines, verdict) in found.items():
            known = reference.pages[page]
            # Visits are kept in 1/256, and lose up to that in every round.
            assert rate == pytest.approx(reference.rate(known, rules), rel=0.03, abs=2.0)
            assert found_lines == reference.hot_lines(known, number)
            on_edge = abs(known.heat - rules.sure_reads) < 0.01
            if abs(known.visits - rules.min_visits) > 0.1 and not on_edge:
                assert verdict == reference.verdict(page, rules, now_ns, number)
        leaving = sorted(gone)
        heat.vacate(np.array(leaving, dtype=np.uint64), now_ns)
        for page in leaving:
            reference.vacate(page, now_ns)


@given(st.dictionaries(st.integers(0, 1 << 40), st.integers(1, 60_000), max_size=300))
def test_candidates_come_heaviest_first_under_their_own_numbers(listed: dict[int, int]) -> None:
    heat = table()
    listed = {page % (1 << 40): reads for page, reads in listed.items()}
    heat.add(pages(listed), 0, 1, as_heat=False)
    found = heat.judge(RULES, len(listed), 0, 0, 1)
    weights = found["weight"].tolist()
    assert weights == pytest.approx(sorted(weights, reverse=True), rel=1e-6)
    assert set(found["page"].tolist()) <= set(listed)
    if len(listed) <= 4:
        assert set(found["page"].tolist()) == set(listed)


def test_heat_halves_in_its_half_life() -> None:
    heat = table()
    heat.add(pages({7: 100}), 0, 1, as_heat=False)
    heat.add(pages({7: 1}), S, 2, as_heat=False)
    rate, _, _ = judged(heat, replace(RULES, interval_s=0.0), S, 2)[7]
    assert rate == pytest.approx(100 / 2 + 1 / 2)


def test_a_page_below_the_floor_is_not_reported_but_remembered() -> None:
    heat = table()
    high = replace(RULES, floor_reads_per_s=90.0)
    heat.add(pages({7: 60}), 0, 1, as_heat=False)
    assert judged(heat, high, 0, 1) == {}
    heat.add(pages({7: 60}), MS, 2, as_heat=False)
    assert set(judged(heat, high, MS, 2)) == {7}


def test_two_lists_in_a_row_are_one_visit_and_three_are_two() -> None:
    heat = table(half_life_ns=1000 * S)
    verdicts = []
    for number in (1, 2, 3):
        heat.add(pages({7: 20}), number, number, as_heat=False)
        verdicts.append(judged(heat, RULES, number, number)[7][2])
    assert verdicts == [Verdict.ONE_OFF, Verdict.ONE_OFF, Verdict.PROMOTE]


def test_hotter_pages_keep_their_places() -> None:
    heat = HeatTable(1024, S, 4)
    hot = dict.fromkeys(range(1024), 1000)
    heat.add(pages(hot), 0, 1, as_heat=False)
    kept = set(judged(heat, RULES, 0, 1))
    assert len(kept) > 700
    heat.add(pages(dict.fromkeys(range(5000, 9000), 1)), 0, 2, as_heat=False)
    heat.add(pages(hot), 0, 3, as_heat=False)
    again = judged(heat, RULES, 0, 3)
    assert all(again[page][0] > 1400 for page in kept)


def test_a_frame_given_up_again_is_held_back_longer_each_time() -> None:
    heat = table()
    three = np.array([3], dtype=np.uint64)

    def verdict(now_ns: int, number: int) -> Verdict:
        heat.add(pages({3: 500}), now_ns, number, as_heat=False)
        return judged(heat, RULES, now_ns, number)[3][2]

    heat.vacate(three, 0)
    assert verdict(S // 2, 1) is Verdict.BACKED_OFF
    assert verdict(S, 2) is Verdict.PROMOTE
    heat.vacate(three, S)
    assert verdict(3 * S - 1, 3) is Verdict.BACKED_OFF
    assert verdict(3 * S, 4) is Verdict.PROMOTE


def test_a_page_that_moved_starts_anew() -> None:
    heat = table()
    heat.add(pages({3: 1000}), 0, 1, as_heat=False)
    heat.vacate(np.array([3], dtype=np.uint64), 0)
    heat.add(pages({3: 10}), 0, 2, as_heat=False)
    rate, _, _ = judged(heat, replace(RULES, interval_s=0.0), 0, 2)[3]
    assert rate == pytest.approx(5.0)


def test_another_dtype_or_a_strided_array_is_refused() -> None:
    heat = table()
    for wrong in (np.array([1]), np.arange(4, dtype=np.uint64)[::2]):
        listed = replace(pages({1: 1}), addresses=wrong, counts=wrong)
        with pytest.raises(ValueError, match="uint64"):
            heat.add(listed, 0, 1, as_heat=False)


def test_a_page_that_takes_anothers_place_in_one_round_is_judged_once() -> None:
    heat = table(places=1024)
    # Each is hotter than those before it, and there are four times as many as places.
    heat.add(pages({page: page for page in range(1, 4001)}), 0, 1, as_heat=False)
    found = heat.judge(RULES, 4096, 0, 0, 1)
    assert len(found) == len(set(found["page"].tolist())) == 1024
    assert found["reads_per_s"].min() > 0


def test_rounds_may_be_numbered_for_ever() -> None:
    heat = table()
    first = (1 << 30) - 3
    for number in range(first, first + 6):
        heat.add(pages({7: 10}), 0, number, as_heat=False)
        assert heat.judge(RULES, 64, 0, 0, number)["page"].tolist() == [7]
