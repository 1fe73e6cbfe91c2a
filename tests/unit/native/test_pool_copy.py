"""Copies past the cache and their checksum, against the plain way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._pool import ffi, lib

POLYNOMIAL = 0x82F63B78


def plain_checksum(data: bytes, before: int = 0) -> int:
    """CRC-32C bit by bit."""
    value = before ^ 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def buffer(size: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.uint8]], object]:
    array = np.zeros(size, dtype=np.uint8)
    return array, ffi.from_buffer("uint8_t[]", array, require_writable=True)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_the_checksum_is_that_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert lib.pool_checksum(0, data, len(data)) == checksum == plain_checksum(data)


@settings(max_examples=30)
@given(st.integers(0, 30_000), st.integers(0, 2**32 - 1), st.integers(0, 15))
def test_any_length_and_alignment_sums_as_the_plain_one(size: int, seed: int, at: int) -> None:
    data = np.random.default_rng(seed).bytes(size + at)
    pointer = ffi.from_buffer(data) + at
    assert lib.pool_checksum(0, pointer, size) == plain_checksum(data[at:])


@settings(max_examples=50)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_checksum_can_be_gone_on_with(first: bytes, second: bytes) -> None:
    begun = lib.pool_checksum(0, first, len(first))
    both = first + second
    assert lib.pool_checksum(begun, second, len(second)) == lib.pool_checksum(0, both, len(both))


@settings(max_examples=200)
@given(
    st.integers(0, 600),
    st.integers(0, 130),
    st.integers(0, 130),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_copy_changes_its_range_and_nothing_else(
    size: int, to: int, source: int, checked: bool, seed: int
) -> None:
    data = np.random.default_rng(seed).integers(0, 256, size + source, dtype=np.uint8)
    target, pointer = buffer(size + to + 64)
    wanted = target.copy()
    wanted[to : to + size] = data[source:]
    origin = ffi.from_buffer("uint8_t[]", data) + source
    if checked:
        found = lib.pool_copy_checked(0, pointer + to, origin, size)  # type: ignore[operator]
        assert found == plain_checksum(data[source:].tobytes())
    else:
        lib.pool_copy_stream(pointer + to, origin, size)  # type: ignore[operator]
    lib.pool_copy_fence()
    np.testing.assert_array_equal(target, wanted)


def test_long_copies_are_whole_and_lines_can_be_dropped_any_time() -> None:
    data = np.random.default_rng(1).integers(0, 256, 3 << 20, dtype=np.uint8)
    target, pointer = buffer(data.size)
    origin = ffi.from_buffer("uint8_t[]", data)
    checksum = lib.pool_copy_checked(0, pointer, origin, data.size)
    lib.pool_copy_write_back(pointer, data.size)
    lib.pool_copy_invalidate(pointer, data.size)
    lib.pool_copy_fence()
    np.testing.assert_array_equal(target, data)
    assert checksum == lib.pool_checksum(0, pointer, data.size)
