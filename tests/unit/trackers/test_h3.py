"""The hash is the XOR of one entry per set bit, however it is computed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .models import few_examples, h3_columns
from .reference import H3

KEYS = [0, 1, 0x39_0000, 0xFFFF_FFFF, 1 << 51, (1 << 52) - 1, 2**64 - 1, 0x0100_0000_0001]


@pytest.mark.parametrize(
    ("rows", "columns"), [(4, 32768), (4, 65536), (4, 131072), (1, 16), (3, 4096), (16, 1 << 20)]
)
def test_columns_are_the_xor_of_the_set_bits_entries(rows: int, columns: int) -> None:
    reference = H3(rows, columns, seed=42)
    expected = [reference.columns_of(key).tolist() for key in KEYS]
    assert h3_columns(rows, columns, 42, KEYS) == expected


@few_examples
@given(a=st.integers(0, 2**64 - 1), b=st.integers(0, 2**64 - 1))
def test_the_hash_is_linear(a: int, b: int) -> None:
    of_a, of_b, of_both = h3_columns(4, 32768, 1, [a, b, a ^ b])
    assert of_both == [x ^ y for x, y in zip(of_a, of_b, strict=True)]


def test_another_seed_gives_another_hash() -> None:
    assert h3_columns(4, 32768, 1, KEYS[1:]) != h3_columns(4, 32768, 2, KEYS[1:])


def test_consecutive_pages_spread_over_the_columns() -> None:
    columns = [row[0] for row in h3_columns(4, 32768, 1, list(range(0x39_0000, 0x39_0000 + 8192)))]
    assert len(set(columns)) > 4096
