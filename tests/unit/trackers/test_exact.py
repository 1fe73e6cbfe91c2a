"""PAC and WAC count exactly, and take memory only where something was read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.layer.tracker_config import ListKind

from .models import BASE, BYTES, CHECKOUT, few_examples, make_trackers

SHIFT = {ListKind.PAC: 12, ListKind.WAC: 6}
KINDS = pytest.mark.parametrize("kind", [ListKind.PAC, ListKind.WAC])


@KINDS
def test_counts_equal_bincount(kind: ListKind) -> None:
    rng = np.random.default_rng(1)
    offsets = rng.integers(0, BYTES, 50_000) >> rng.integers(0, 20, 50_000)
    trackers = make_trackers(exact=[kind])
    trackers.read_many((offsets + BASE).astype(np.uint64), now_ns=0)
    units = BYTES >> SHIFT[kind]
    expected = np.bincount(offsets >> SHIFT[kind], minlength=units)
    assert (trackers.exact_counts(kind, 0, units) == expected).all()


@KINDS
def test_the_list_is_the_true_top_lower_addresses_first(kind: ListKind) -> None:
    rng = np.random.default_rng(2)
    offsets = np.minimum(rng.zipf(1.4, 30_000) * 64, BYTES - 1)
    trackers = make_trackers(exact=[kind])
    trackers.read_many((offsets + BASE).astype(np.uint64), now_ns=0)
    counts = np.bincount(offsets >> SHIFT[kind])
    order = np.lexsort((np.arange(counts.size), -counts))
    expected = [(BASE + (u << SHIFT[kind]), counts[u]) for u in order if counts[u]]
    for most in (1, 10, 4096):
        listed = trackers.emit(kind, most, keep=True).entries
        assert [(a, c) for a, c in listed.tolist()] == expected[:most]


@few_examples
@given(
    first=st.integers(0, 20_000),
    units=st.integers(0, 9_000),
    offsets=st.lists(st.integers(0, BYTES - 1), max_size=50),
)
def test_any_window_of_counts_can_be_read(first: int, units: int, offsets: list[int]) -> None:
    trackers = make_trackers(exact=[ListKind.PAC])
    for offset in offsets:
        trackers.access(BASE + offset, False, 0)
    everything = np.bincount([o >> 12 for o in offsets], minlength=40_000)
    window = trackers.exact_counts(ListKind.PAC, first, units)
    assert (window == everything[first : first + units]).all()


_STARVED = """
import json, mmap, resource
from pathlib import Path
import numpy as np
from tiermem.layer.tracker_config import ListKind
from tests.unit.trackers.models import BASE, make_trackers

trackers = make_trackers(exact=[ListKind.WAC], size=1 << 31)
one_in_each_leaf = np.arange(BASE, BASE + (1 << 31), 1 << 18, dtype=np.uint64)
used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
before, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), most))
trackers.read_many(one_in_each_leaf, now_ns=0)
trackers.access(int(one_in_each_leaf[-1]), False, 0)
resource.setrlimit(resource.RLIMIT_AS, (before, most))
kept = int(trackers.exact_counts(ListKind.WAC, 0, 1 << 25).sum())
print(json.dumps({"made": one_in_each_leaf.size + 1, "kept": kept, **trackers.counters()}))
"""


def test_reads_that_no_memory_was_left_for_are_told() -> None:
    """128 MiB of counters are wanted, and 32 MiB are to be had."""
    command = [sys.executable, "-c", _STARVED]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert seen["reads_tracked"] == seen["made"] == seen["kept"] + seen["exact_lost"]
    assert seen["kept"] > 0
    assert seen["exact_lost"] > seen["made"] // 2


def test_reading_a_tracker_that_is_off_gives_zeros() -> None:
    assert not make_trackers().exact_counts(ListKind.WAC, 0, 100).any()


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_a_large_sparse_range_costs_little_memory() -> None:
    before = resident_pages()
    size = 64 << 30
    trackers = make_trackers(exact=[ListKind.WAC], base=0, size=size)
    for gib in range(64):
        trackers.access((gib << 30) + 4096, False, 0)
    assert trackers.emit(ListKind.WAC).entries.size == 64
    assert (resident_pages() - before) * 4096 < 16 << 20
