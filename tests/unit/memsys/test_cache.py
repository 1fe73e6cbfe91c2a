"""The last-level cache against a plain LRU: the same fills and the same write-backs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._models import ffi, lib

from .reference import LOAD, STORE, STORE_LINE, Cache

few_examples = settings(max_examples=25)


class CCache:
    def __init__(self, size: int, ways: int) -> None:
        self.raw = ffi.gc(lib.ms_cache_create(size, ways), lib.ms_cache_destroy)
        self._victim = ffi.new("uint64_t *")

    def access(self, address: int, kind: int) -> tuple[int | None, int | None]:
        """As the reference's: a miss is a fill, or a claim where nothing need be read."""
        events = lib.ms_cache_access(self.raw, address, kind, self._victim)
        missed = events & (lib.MS_FILL | lib.MS_CLAIM)
        assert missed in (0, lib.MS_CLAIM if kind == STORE_LINE else lib.MS_FILL)
        wrote = events & lib.MS_WRITEBACK
        return kind if missed else None, self._victim[0] if wrote else None


@pytest.mark.parametrize(
    ("size", "ways"),
    [
        *((64, 1), (4096, 1), (4096, 4), (24 * 1024, 6), (32768, 16), (65536, 32)),
        *((1 << 20, 2), (1 << 21, 16)),  # more sets than a page has lines: hashed
    ],
)
def test_every_access_equals_the_reference(size: int, ways: int) -> None:
    rng = np.random.default_rng(ways)
    addresses = (rng.zipf(1.2, 15_000) * 64 + rng.integers(0, 64, 15_000)) % (8 * size)
    kinds = rng.choice((LOAD, STORE, STORE_LINE), 15_000, p=(0.6, 0.2, 0.2))
    ours, reference = CCache(size, ways), Cache(size, ways)
    for address, kind in zip(addresses.tolist(), kinds.tolist(), strict=True):
        assert ours.access(address, kind) == reference.access(address, kind)


@few_examples
@given(
    accesses=st.lists(
        st.tuples(st.integers(0, 2**37 - 1), st.integers(LOAD, STORE_LINE)), max_size=80
    ),
    ways=st.integers(1, 32),
    sets=st.sampled_from((2, 64, 128, 8192)),
)
def test_any_addresses_equal_the_reference(
    accesses: list[tuple[int, int]], ways: int, sets: int
) -> None:
    ours, reference = CCache(sets * 64 * ways, ways), Cache(sets * 64 * ways, ways)
    for address, kind in accesses:
        assert ours.access(address, kind) == reference.access(address, kind)


def miss_rate(frames: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Of random reads over whole pages in these frames, in 1 MiB of 16 ways."""
    cache = CCache(1 << 20, 16)
    rng = np.random.default_rng(1)
    addresses = rng.choice(frames, 60_000) * 4096 + rng.integers(0, 64, 60_000) * 64
    missed = [cache.access(address, LOAD)[0] is not None for address in addresses.tolist()]
    return float(np.mean(missed[20_000:]))


@given(stride=st.sampled_from((1, 2, 16, 64, 1024)), first=st.integers(0, 2**20))
@settings(max_examples=10)
def test_which_frames_pages_lie_in_does_not_matter(stride: int, first: int) -> None:
    pages = np.arange(512, dtype=np.int64)  # 2 MiB
    assert miss_rate(first + stride * pages) == pytest.approx(0.5, abs=0.06)


def test_clear_forgets_dirty_lines_too() -> None:
    cache = CCache(128, 2)
    cache.access(0, STORE)
    lib.ms_cache_clear(cache.raw)
    assert cache.access(0, LOAD) == (LOAD, None)
    assert cache.access(64, LOAD) == (LOAD, None)
    assert cache.access(128, LOAD) == (LOAD, None)


@pytest.mark.parametrize(
    ("size", "ways"), [(0, 1), (64, 0), (64 * 33, 33), (192, 1), (100, 1), (64, 2)]
)
def test_a_shape_that_cannot_be_is_refused(size: int, ways: int) -> None:
    assert lib.ms_cache_create(size, ways) == ffi.NULL


def test_the_address_limit_is_where_tags_end() -> None:
    limit = lib.ms_cache_address_limit(CCache(8 << 20, 16).raw)
    assert limit == 1 << (30 + 13 + 6)
    cache = CCache(8 << 20, 16)
    cache.access(limit - 64, STORE)
    assert cache.access(limit - 64, LOAD) == (None, None)
