"""The heat table: decay, history, masks, and what happens when slots run out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiermem.m5.heat_table import HeatTable

from tests.unit.m5.lists import S


def u64(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def f64(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def table(slots: int = 4096, half_life_ns: int = S, mask_lists: int = 4) -> HeatTable:
    return HeatTable(slots, half_life_ns, mask_lists)


def test_heat_halves_in_its_half_life() -> None:
    heat = table()
    heat.add_counts(u64(7), f64(100), 0, 1)
    slots = heat.add_counts(u64(7), f64(0), S, 2)
    assert heat.heat[slots].tolist() == [50.0]


def test_history_counts_the_last_eight_lists() -> None:
    heat = table()
    for number in (1, 2, 5):
        slots = heat.add_counts(u64(7), f64(1), 0, number)
    assert heat.lists_seen(slots, 5).tolist() == [3]
    assert heat.lists_seen(slots, 9).tolist() == [2]  # list 1 is out of sight
    assert heat.lists_seen(slots, 20).tolist() == [0]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2**64 - 1)), min_size=1, max_size=20))
def test_a_mask_keeps_at_least_one_span_and_at_most_two(news: list[tuple[int, int]]) -> None:
    heat, span = table(mask_lists=4), 4
    number, history = 0, []
    for step, mask in news:
        number += step
        history.append((number, mask))
        slots = heat.add_counts(u64(9), f64(1), 0, number)
        heat.add_masks(u64(9), u64(mask), number)
        kept = int(heat.masks_of(slots, number)[0])
        recent = old = 0
        for when, one in history:
            if when > number - span:
                recent |= one
            if when > number - 2 * span:
                old |= one
        assert recent & ~kept == 0, "news of the last span was lost"
        assert kept & ~old == 0, "something older than two spans was kept"


def test_a_hotter_page_takes_a_slot_and_a_colder_one_does_not() -> None:
    heat = HeatTable(2, S, 4)
    pages = np.arange(1000, dtype=np.uint64)
    heat.add_counts(pages, np.arange(1000, dtype=np.float64), 0, 1)
    assert sorted(heat.pages.tolist())[-1] == 999
    before = set(heat.pages.tolist())
    dropped = heat.add_counts(u64(5), f64(1), 0, 2)
    assert dropped.tolist() == [-1]
    assert set(heat.pages.tolist()) == before


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200, unique=True), st.integers(1, 6))
def test_slots_belong_to_the_page_they_are_given_for(values: list[int], bits: int) -> None:
    heat = HeatTable(1 << bits, S, 4)
    pages = np.array(values, dtype=np.uint64)
    slots = heat.add_counts(pages, pages.astype(np.float64) + 1, 0, 1)
    held = slots >= 0
    assert np.array_equal(heat.pages[slots[held]], pages[held])
    assert len(set(slots[held].tolist())) == held.sum()


def test_a_page_in_a_frame_just_given_up_is_held_back_longer_each_time() -> None:
    heat = table()
    heat.vacate(u64(3), 0)
    assert heat.backed_off(u64(3, 4), S // 2, S).tolist() == [True, False]
    assert heat.backed_off(u64(3), S, S).tolist() == [False]
    heat.vacate(u64(3), S)
    assert heat.backed_off(u64(3), 2 * S, S).tolist() == [True]
    assert heat.backed_off(u64(3), 3 * S, S).tolist() == [False]


def test_a_page_that_moved_starts_anew() -> None:
    heat = table()
    heat.add_counts(u64(3), f64(100), 0, 1)
    heat.vacate(u64(3), 0)
    slots = heat.add_counts(u64(3), f64(1), 0, 2)
    assert heat.heat[slots].tolist() == [1.0]
    assert heat.lists_seen(slots, 2).tolist() == [1]
