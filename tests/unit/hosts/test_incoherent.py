"""Caches that do not know of each other: what a host may rely on, and what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._pool_model import ffi, lib

LINES, HOSTS = 8, 2
BYTES = LINES * 64
QUIET = (0, 0, 0)
BUSY = (100, 100, 100)


class Shared:
    def __init__(self, chances: tuple[int, int, int] = QUIET, seed: int = 1) -> None:
        self.raw = ffi.gc(
            lib.ic_create(BYTES, HOSTS, ffi.new("struct ic_chances *", chances)[0], seed),
            lib.ic_destroy,
        )

    def load(self, host: int, at: int, size: int = 1) -> bytes:
        into = ffi.new("char[]", size)
        lib.ic_load(self.raw, host, at, into, size)
        return bytes(ffi.buffer(into))

    def store(self, host: int, at: int, data: bytes) -> None:
        lib.ic_store(self.raw, host, at, data, len(data))

    def stream(self, host: int, at: int, data: bytes) -> None:
        lib.ic_stream(self.raw, host, at, data, len(data))

    def memory(self, at: int, size: int = 1) -> bytes:
        return bytes(ffi.buffer(lib.ic_memory(self.raw) + at, size))


places = st.tuples(st.integers(0, BYTES - 1), st.integers(1, 100)).map(
    lambda both: (both[0], min(both[1], BYTES - both[0]))
)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("store", "stream", "load", "write back", "invalidate", "fence")),
            places,
            st.integers(0, 255),
        ),
        max_size=60,
    ),
    st.integers(0, 2**32),
)
def test_a_host_alone_sees_its_own_stores_in_order(
    steps: list[tuple[str, tuple[int, int], int]], seed: int
) -> None:
    shared, plain = Shared(BUSY, seed), bytearray(BYTES)
    for act, (at, size), value in steps:
        data = bytes([value]) * size
        if act == "store":
            shared.store(0, at, data)
            plain[at : at + size] = data
        elif act == "stream":
            shared.stream(0, at, data)
            plain[at : at + size] = data
        elif act == "write back":
            lib.ic_write_back(shared.raw, 0, at, size)
        elif act == "invalidate":
            lib.ic_invalidate(shared.raw, 0, at, size)
        elif act == "fence":
            lib.ic_fence(shared.raw, 0)
        assert shared.load(0, at, size) == plain[at : at + size]
    lib.ic_write_back(shared.raw, 0, 0, BYTES)
    lib.ic_fence(shared.raw, 0)
    assert shared.memory(0, BYTES) == plain


@settings(max_examples=100)
@given(places, st.integers(0, 2**32), st.booleans())
def test_what_is_written_back_is_seen_by_who_invalidates(
    place: tuple[int, int], seed: int, streamed: bool
) -> None:
    shared = Shared(BUSY, seed)
    at, size = place
    data = b"x" * size
    shared.load(1, at, size)
    if streamed:
        shared.stream(0, at, data)
    else:
        shared.store(0, at, data)
        lib.ic_write_back(shared.raw, 0, at, size)
    lib.ic_fence(shared.raw, 0)
    lib.ic_invalidate(shared.raw, 1, at, size)
    lib.ic_fence(shared.raw, 1)
    assert shared.load(1, at, size) == data


def test_a_store_stays_in_its_cache_until_it_is_written_back() -> None:
    shared = Shared()
    shared.store(0, 5, b"a")
    assert shared.memory(5) == shared.load(1, 5) == b"\0"
    lib.ic_write_back(shared.raw, 0, 5, 1)
    assert shared.memory(5) == b"\0"  # asked for
    lib.ic_fence(shared.raw, 0)
    assert shared.memory(5) == b"a"
    assert shared.load(1, 5) == b"\0"  # cached when it was looked at before


def test_a_line_goes_back_whole_with_what_is_stale_in_it() -> None:
    shared = Shared()
    shared.store(0, 0, b"a")
    shared.store(1, 1, b"b")
    for host in (1, 0):
        lib.ic_write_back(shared.raw, host, 0, 64)
        lib.ic_fence(shared.raw, host)
    assert shared.memory(0, 2) == b"a\0"  # host 0's line has overwritten host 1's byte


def test_lines_leave_and_come_by_themselves() -> None:
    evicting = Shared((200, 0, 0))
    evicting.store(0, 0, b"a")
    for _ in range(200):
        evicting.load(0, 64)
    assert evicting.memory(0) == b"a"
    prefetching = Shared((0, 500, 0))
    for _ in range(50):
        prefetching.load(1, 64)
    prefetching.store(0, 0, b"a")
    lib.ic_write_back(prefetching.raw, 0, 0, 1)
    lib.ic_fence(prefetching.raw, 0)
    assert prefetching.load(1, 0) == b"\0"  # host 1 never asked for it before


def test_power_lost_is_cache_lost_line_by_line() -> None:
    kept = 0
    for seed in range(200):
        shared = Shared(seed=seed)
        shared.store(0, 0, b"a")
        shared.stream(0, 64, b"b")
        lib.ic_lose(shared.raw, 0)
        kept += shared.memory(0) == b"a"
        assert shared.load(0, 0) == shared.memory(0)
        assert shared.memory(64) in (b"\0", b"b")
    assert 50 < kept < 150


@pytest.mark.parametrize(("size", "hosts"), [(0, 1), (100, 1), (64, 0), (64, 17)])
def test_what_cannot_be_is_refused(size: int, hosts: int) -> None:
    chances = ffi.new("struct ic_chances *", QUIET)[0]
    assert lib.ic_create(size, hosts, chances, 1) == ffi.NULL
