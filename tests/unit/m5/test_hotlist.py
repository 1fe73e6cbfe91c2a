"""Hot lists: which page and which line an address names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.m5.hotlist import HotList, Unit, popcount

addresses = st.lists(st.integers(0, (1 << 52) - 1).map(lambda a: a & ~63), max_size=50)


@given(addresses)
def test_page_and_line_bit_make_up_the_address(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint64)
    lines = HotList(Unit.LINE, array, np.ones(len(values), dtype=np.uint64), 1)
    for address, page, bit in zip(
        values, lines.pages.tolist(), lines.line_bits.tolist(), strict=True
    ):
        assert bit.bit_count() == 1
        assert page * 4096 + (bit.bit_length() - 1) * 64 == address


def test_the_last_line_of_a_page_has_the_last_bit() -> None:
    lines = HotList(Unit.LINE, np.array([4096 - 64], dtype=np.uint64), np.ones(1, np.uint64), 1)
    assert lines.line_bits.tolist() == [1 << 63]


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=50))
def test_popcount_counts_all_64_bits(values: list[int]) -> None:
    counted = popcount(np.array(values, dtype=np.uint64))
    assert counted.tolist() == [value.bit_count() for value in values]


def test_popcount_is_the_same_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    masks = np.random.default_rng(1).integers(0, 1 << 63, 1000, dtype=np.uint64)
    expected = popcount(masks)
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert np.array_equal(popcount(masks), expected)


def test_addresses_and_counts_must_match() -> None:
    with pytest.raises(ValueError, match="do not match"):
        HotList(Unit.PAGE, np.zeros(2, dtype=np.uint64), np.zeros(3, dtype=np.uint64), 1)
