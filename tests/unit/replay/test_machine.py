"""The replayed machine: pages, tiers, moves, and what they are charged."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.errors import TiermemError
from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.settings import M5Settings
from tiermem.native.models import ReplayMachine, Stop
from tiermem.replay.contenders import find_contender
from tiermem.replay.runner import build_machine
from tiermem.replay.trace import encode

from .traces import Listed, machine, pattern

FAST = 4
NO_PAGE = 2**64 - 1


def reads(*pages: int, line: int = 0) -> np.ndarray:
    addresses = np.array([page << 12 | line << 6 for page in pages], dtype=np.uint64)
    return encode(addresses, np.zeros(len(pages), dtype=bool), np.full(len(pages), 10))


@pytest.fixture
def small() -> ReplayMachine:
    """Four fast frames, twelve slow ones."""
    trace = Listed([page << 12 for page in range(12)])
    return build_machine(
        trace, machine(dram_pages=FAST), M5Settings(), find_contender("m5-hpt+hwt")
    )


def test_pages_get_frames_as_touched_fast_ones_first(small: ReplayMachine) -> None:
    small.run(reads(70, 50, 70, 60, 2**37, 9))
    assert small.pages()[:6].tolist() == [70, 50, 60, 2**37, 9, NO_PAGE]
    assert small.reads.tolist()[:6] == [1, 1, 1, 1, 1, 0]
    assert small.counters()["fast_used"] == 4
    assert small.counters()["slow_used"] == 1


def test_reads_count_behind_the_cache_only(small: ReplayMachine) -> None:
    small.run(reads(1, 1, 1))
    small.run(reads(1, line=5))
    assert small.reads[0] == 2
    assert small.memsys.tier(0)["reads"] == 2


def test_trackers_see_the_slow_tier_only(small: ReplayMachine) -> None:
    small.run(reads(*range(6)))
    small.run(reads(5, line=63))
    entries = small.trackers.emit(0).entries.tolist()
    assert entries == [(5 << 12, 2), (4 << 12, 1)]
    assert (5 << 12 | 63 << 6, 1) in small.trackers.emit(1).entries.tolist()


def test_promotion_moves_the_page_its_reads_and_nothing_else(small: ReplayMachine) -> None:
    small.run(reads(*range(6)))
    assert small.promote(np.array([5])).tolist() == [PromoteCode.NO_MEMORY]
    assert small.make_room(1) == 1
    before_ns = small.now_ns
    assert small.promote(np.array([5])).tolist() == [PromoteCode.MOVED]
    assert small.now_ns > before_ns + 12_000 * 0.25
    pages = small.pages()
    assert sorted(pages[pages != NO_PAGE].tolist()) == list(range(6))
    assert 5 in pages[:FAST]
    where = int(np.flatnonzero(pages == 5)[0])
    assert small.reads[where] == 1
    assert small.reads.sum() == 6


def test_the_clock_spares_pages_touched_since_it_passed(small: ReplayMachine) -> None:
    small.run(reads(*range(4)))
    assert small.make_room(1) == 1
    assert 0 not in small.pages()[:FAST]
    small.run(reads(1, 3))
    small.make_room(1)
    assert sorted(small.pages()[:FAST].tolist())[:2] == [1, 3]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (0, PromoteCode.ALREADY_THERE),
        (FAST + 9, PromoteCode.NOT_MAPPED),
        (1 << 40, PromoteCode.NO_SUCH_PFN),
    ],
)
def test_every_refusal_has_its_reason(small: ReplayMachine, frame: int, code: PromoteCode) -> None:
    small.run(reads(*range(5)))
    small.make_room(2)
    assert small.promote(np.array([frame])).tolist() == [code]
    assert small.counters()["promoted"] == 0


def test_running_stops_when_the_time_has_come_and_goes_on_where_it_was() -> None:
    trace = pattern("zipf", records=300_000)
    whole, parts = (
        build_machine(trace, machine(), M5Settings(), find_contender("m5-hpt")) for _ in range(2)
    )
    records = np.concatenate(list(trace.chunks()))
    assert whole.run(records) == (records.size, Stop.END)
    done = 0
    while done < records.size:
        ran, stop = parts.run(records[done:], parts.now_ns + 1_000_000)
        assert ran > 0
        done += ran
        assert stop is (Stop.TIME if done < records.size else Stop.END)
    assert parts.now_ns == whole.now_ns
    assert parts.counters() == whole.counters()
    assert (parts.reads == whole.reads).all()
    assert parts.trackers.emit(0).entries.tolist() == whole.trackers.emit(0).entries.tolist()


def test_more_pages_than_frames_stop_at_the_record(small: ReplayMachine) -> None:
    frames = small.frames
    assert small.run(reads(*range(frames + 3))) == (frames, Stop.NO_FRAME)
    with pytest.raises(TiermemError, match="do not fit"):
        small.populate(1 << 20, 1)


def test_a_malformed_record_stops_before_it(small: ReplayMachine) -> None:
    records = reads(1, 2, 3)
    records[1] = 1 << 50 | 1 << 51
    assert small.run(records) == (1, Stop.BAD_RECORD)
