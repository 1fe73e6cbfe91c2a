"""Where pages lie in an image, against the rules that whoever maps it relies on."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiermem.cxlfork.image_writer import bits_of
from tiermem.cxlfork.layout import Layout, cut, lay_out
from tiermem.cxlfork.records import LARGE_PAGES

Stretch = tuple[int, int]


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    """Stored pages of a process: gaps and lengths around the sizes that matter."""
    sizes = st.sampled_from([1, 2, 3, LARGE_PAGES - 1, LARGE_PAGES, LARGE_PAGES + 1, 1500])
    gaps = st.sampled_from([0, 1, 5, LARGE_PAGES - 2, LARGE_PAGES, 4000])
    at = draw(st.integers(0, 2 * LARGE_PAGES))
    found = []
    for gap, pages in draw(st.lists(st.tuples(gaps, sizes), max_size=12)):
        at += gap
        found.append((at, pages))
        at += pages
    return found


def laid_out(stored: list[Stretch], data_at_page: int) -> Layout:
    pieces, is_whole = cut(np.array(stored, dtype=np.int64).reshape(-1, 2))
    return lay_out(pieces, is_whole, data_at_page)


def pages_of(stored: list[Stretch]) -> list[int]:
    return [page for first, pages in stored for page in range(first, first + pages)]


def places_of(layout: Layout) -> dict[int, int]:
    """Where each page of the process lies."""
    return {
        first + i: data + i for first, pages, data in layout.runs.tolist() for i in range(pages)
    }


@given(stretches(), st.integers(1, 2 * LARGE_PAGES))
def test_every_page_has_a_place_of_its_own_within_the_data(
    stored: list[Stretch], data_at_page: int
) -> None:
    layout = laid_out(stored, data_at_page)
    places = places_of(layout)
    assert sorted(places) == pages_of(stored)
    assert len(set(places.values())) == len(places)
    assert all(data_at_page <= place < layout.end_page for place in places.values())
    assert layout.end_page == max(places.values(), default=data_at_page - 1) + 1


@given(stretches(), st.integers(1, 2 * LARGE_PAGES))
def test_runs_are_sorted_and_none_leaves_a_stretch(
    stored: list[Stretch], data_at_page: int
) -> None:
    runs = laid_out(stored, data_at_page).runs.tolist()
    assert runs == sorted(runs)
    for first, pages, _ in runs:
        assert any(at <= first and first + pages <= at + count for at, count in stored)


@given(stretches(), st.integers(1, 2 * LARGE_PAGES))
def test_windows_that_are_stored_as_a_whole_lie_as_their_addresses_do(
    stored: list[Stretch], data_at_page: int
) -> None:
    places = places_of(laid_out(stored, data_at_page))
    for at, count in stored:
        for first in range(-(-at // LARGE_PAGES) * LARGE_PAGES, at + count, LARGE_PAGES):
            if first + LARGE_PAGES <= at + count:
                assert places[first] % LARGE_PAGES == 0
                assert places[first + LARGE_PAGES - 1] == places[first] + LARGE_PAGES - 1


@given(stretches(), st.integers(1, 2 * LARGE_PAGES))
def test_less_than_a_window_is_left_empty(stored: list[Stretch], data_at_page: int) -> None:
    layout = laid_out(stored, data_at_page)
    assert layout.data_pages - len(pages_of(stored)) < LARGE_PAGES


@given(stretches(), st.data())
def test_bits_are_those_of_the_pages_that_are_stored(
    stored: list[Stretch], data: st.DataObject
) -> None:
    layout = laid_out(stored, 3)
    places = places_of(layout)
    asked = data.draw(st.sets(st.integers(0, 20000), max_size=50))
    asked |= set(data.draw(st.permutations(list(places)))[:50]) if places else set()
    bits = np.unpackbits(
        np.frombuffer(bits_of(layout, np.array(sorted(asked), dtype=np.int64)), dtype=np.uint8),
        bitorder="little",
    )
    assert set(np.flatnonzero(bits).tolist()) == {places[page] - 3 for page in asked & set(places)}
