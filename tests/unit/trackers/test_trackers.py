"""The device's trackers behind one stream of accesses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import TiermemError
from tiermem.layer.tracker_config import ListKind, TrackerConfig
from tiermem.native.models import LIST_ENTRIES_MAX

from .models import BASE, BYTES, few_examples, make_trackers
from .reference import SketchTopK

SMALL = TrackerConfig(columns=1024)
EVERY = tuple(ListKind)


def everything_on(**periods: int) -> TrackerConfig:
    return TrackerConfig(columns=1024, **periods)


def test_pages_and_lines_equal_the_reference() -> None:
    rng = np.random.default_rng(4)
    pages = rng.zipf(1.3, 4000) % 500
    addresses = (BASE + pages * 4096 + rng.integers(0, 64, 4000) * 64 + 8).astype(np.uint64)
    trackers = make_trackers(hpt=SMALL, hwt=SMALL, seed=11)
    trackers.read_many(addresses, now_ns=0)
    for kind, shift in ((ListKind.HPT, 12), (ListKind.HWT, 6)):
        reference = SketchTopK(25, 4, 1024, 14, seed=11 + kind)
        for address in addresses.tolist():
            reference.add(address >> shift)
        expected = [(key << shift, count) for key, count in reference.list()]
        assert trackers.emit(kind).entries.tolist() == expected


def test_one_by_one_and_batched_are_the_same() -> None:
    rng = np.random.default_rng(5)
    addresses = (BASE - 4096 + rng.integers(0, BYTES + 8192, 3000)).astype(np.uint64)
    one, many = (make_trackers(hpt=SMALL, hwt=SMALL, exact=EVERY[2:]) for _ in range(2))
    for address in addresses.tolist():
        one.access(address, False, 0)
    many.read_many(addresses, now_ns=0)
    assert one.counters() == many.counters()
    for kind in EVERY:
        assert one.emit(kind).entries.tolist() == many.emit(kind).entries.tolist()


@few_examples
@given(
    accesses=st.lists(
        st.tuples(st.integers(BASE - 8192, BASE + BYTES + 8192), st.booleans()), max_size=60
    )
)
def test_only_reads_in_range_count(accesses: list[tuple[int, bool]]) -> None:
    trackers = make_trackers(hpt=SMALL, hwt=SMALL, exact=EVERY[2:])
    for address, is_write in accesses:
        trackers.access(address, is_write, 0)
    inside = [a for a, w in accesses if not w and BASE <= a < BASE + BYTES]
    writes = sum(w for _, w in accesses)
    counters = trackers.counters()
    assert counters["reads_tracked"] == len(inside)
    assert counters["writes_seen"] == writes
    assert counters["reads_ignored"] == len(accesses) - len(inside) - writes
    for kind in EVERY:
        shift = 12 if kind in (ListKind.HPT, ListKind.PAC) else 6
        listed = trackers.emit(kind)
        assert set(listed.entries["address"].tolist()) <= {a >> shift << shift for a in inside}
        assert listed.reads == len(inside)
    assert trackers.emit(ListKind.PAC).entries.size == 0


def test_every_line_of_a_page_has_its_own_address() -> None:
    """Line 63 of a page is as good as line 0: 64-bit masks need all of them."""
    trackers = make_trackers(hwt=TrackerConfig(entries=64), exact=[ListKind.WAC])
    for line in range(64):
        trackers.access(BASE + 4096 + line * 64 + 63, False, 0)
    expected = [BASE + 4096 + line * 64 for line in range(64)]
    for kind in (ListKind.HWT, ListKind.WAC):
        entries = trackers.emit(kind).entries
        assert sorted(entries["address"].tolist()) == expected
        mask = np.bitwise_or.reduce(
            np.left_shift(np.uint64(1), entries["address"] >> np.uint64(6) & np.uint64(63))
        )
        assert int(mask) == 2**64 - 1


@pytest.mark.parametrize("kind", EVERY)
def test_a_query_clears_its_tracker_and_no_other(kind: ListKind) -> None:
    trackers = make_trackers(hpt=SMALL, hwt=SMALL, exact=EVERY[2:])
    trackers.access(BASE, False, 0)
    assert trackers.emit(kind, keep=True).entries.size == 1
    assert trackers.emit(kind).entries.size == 1
    assert trackers.emit(kind).entries.size == 0
    for other in set(EVERY) - {kind}:
        assert trackers.emit(other).entries.size == 1


def test_clear_takes_a_mask_and_refuses_unknown_kinds() -> None:
    trackers = make_trackers(hpt=SMALL, hwt=SMALL)
    trackers.access(BASE, False, 0)
    with pytest.raises(ValueError, match="do not exist"):
        trackers.clear(0b10001)
    assert trackers.emit(ListKind.HPT, keep=True).entries.size == 1
    trackers.clear(1 << ListKind.HPT)
    assert trackers.emit(ListKind.HPT).entries.size == 0
    assert trackers.emit(ListKind.HWT).entries.size == 1


@pytest.mark.parametrize(
    ("kind", "entries"), [(4, 1), (ListKind.HPT, 0), (ListKind.HPT, LIST_ENTRIES_MAX + 1)]
)
def test_a_wrong_query_is_refused(kind: int, entries: int) -> None:
    trackers = make_trackers(hpt=SMALL)
    trackers.access(BASE, False, 0)
    with pytest.raises(TiermemError, match="error 2"):
        trackers.emit(kind, entries)
    assert trackers.emit(ListKind.HPT).entries.size == 1


def test_a_tracker_that_is_off_has_no_list() -> None:
    with pytest.raises(TiermemError, match="error 4"):
        make_trackers(hpt=SMALL).emit(ListKind.HWT)


def test_a_period_by_reads_is_due_again_after_as_many_more() -> None:
    trackers = make_trackers(hpt=everything_on(period_reads=3))
    due = [trackers.access(BASE, False, 0) for _ in range(4)]
    assert due == [0, 0, 1, 1]
    assert trackers.emit(ListKind.HPT).reads == 4
    assert [trackers.access(BASE, False, 0) for _ in range(3)] == [0, 0, 1]


def test_a_period_by_time_needs_a_read() -> None:
    trackers = make_trackers(hpt=everything_on(period_ns=100))
    assert trackers.due(1000) == 0
    assert trackers.access(BASE, False, 1000) == 1 << ListKind.HPT
    trackers.emit(ListKind.HPT, now_ns=1000)
    assert trackers.access(BASE, False, 1099) == 0
    assert trackers.access(BASE + BYTES, True, 1100) == 1 << ListKind.HPT


def test_each_tracker_has_its_own_period() -> None:
    trackers = make_trackers(hpt=everything_on(period_reads=2), hwt=everything_on(period_reads=3))
    assert [trackers.access(BASE, False, 0) for _ in range(3)] == [0, 0b01, 0b11]
    trackers.clear(0b01)
    assert trackers.due(0) == 0b10


def test_restart_forgets_counts_and_counters() -> None:
    trackers = make_trackers(hpt=everything_on(period_ns=50), exact=[ListKind.PAC])
    trackers.access(BASE, False, 49)
    trackers.restart(1000)
    assert trackers.counters()["reads_tracked"] == 0
    assert trackers.emit(ListKind.PAC).entries.size == 0
    assert trackers.access(BASE, False, 1049) == 0
    assert trackers.due(1050) == 1
