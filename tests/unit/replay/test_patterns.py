"""Synthetic traces: the same from the same seed, and of the popularity they promise."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.errors import ConfigError
from tiermem.replay.patterns import FIRST_PAGE, PATTERNS, Pattern, PatternSettings
from tiermem.replay.trace import CHUNK_RECORDS

from .traces import pattern

ADDRESS = np.uint64((1 << 50) - 1)


def records_of(trace: Pattern) -> np.ndarray:
    return np.concatenate(list(trace.chunks()))


def pages_of(trace: Pattern) -> np.ndarray:
    return ((records_of(trace) & ADDRESS) >> np.uint64(12)).astype(np.int64) - FIRST_PAGE


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_keeps_to_its_footprint_and_seed(name: str) -> None:
    trace = pattern(name, records=60_000, seed=3)
    records = records_of(trace)
    assert records.size == 60_000
    assert (records == records_of(trace)).all()
    pages = pages_of(trace)
    assert pages.min() >= 0
    assert pages.max() < trace.pages
    if name != "scan":
        assert (records != records_of(pattern(name, records=60_000, seed=4))).any()


def test_a_long_trace_comes_in_chunks() -> None:
    sizes = [chunk.size for chunk in pattern("scan", records=CHUNK_RECORDS + 5).chunks()]
    assert sizes == [CHUNK_RECORDS, 5]


def test_records_carry_gap_writes_and_lines() -> None:
    records = records_of(pattern("uniform", records=200_000, gap=77, write_share=0.25, lines=4))
    assert set((records >> np.uint64(52)).tolist()) == {77}
    assert (records >> np.uint64(51) & np.uint64(1)).mean() == pytest.approx(0.25, abs=0.01)
    lines_of_a_page = records[(records & ADDRESS) >> np.uint64(12) == FIRST_PAGE + 9]
    assert len(set(((lines_of_a_page & ADDRESS) >> np.uint64(6)).tolist())) == 4


def test_zipf_follows_rank_to_the_minus_skew() -> None:
    counts = np.sort(np.bincount(pages_of(pattern("zipf", pages=1000, skew=1.0))))[::-1]
    expected = 1 / np.arange(1, 1001) / (1 / np.arange(1, 1001)).sum()
    assert counts[:50] / counts.sum() == pytest.approx(expected[:50], rel=0.05)


def test_hot_set_takes_its_weight() -> None:
    pages = pages_of(pattern("hotset", hot_share=0.1, hot_weight=0.8))
    hot = pages >= 4096 - 410
    assert hot.mean() == pytest.approx(0.8 + 0.2 * 0.1, abs=0.01)


def test_the_hot_set_moves_half_way_to_other_pages() -> None:
    pages = pages_of(pattern("moving-hotset", hot_share=0.1, moves=1))
    halves = [set(np.argsort(np.bincount(half))[-409:]) for half in np.array_split(pages, 2)]
    assert not halves[0] & halves[1]


def test_a_scan_reads_line_after_line() -> None:
    addresses = records_of(pattern("scan", records=10_000, pages=8, lines=64)) & ADDRESS
    lines = (addresses[:512] >> np.uint64(6)).astype(np.int64)
    assert sorted(lines.tolist()) == list(range(FIRST_PAGE * 64, FIRST_PAGE * 64 + 512))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"lines": 65}, "lines = 65: 1..64"), ({"gap": 5000}, "gap"), ({"hot_share": 1.5}, "hot")],
)
def test_values_out_of_range_are_named(changes: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Pattern("zipf", PatternSettings(**changes))  # type: ignore[arg-type]


def test_an_unknown_pattern_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="allowed: uniform, scan, zipf"):
        Pattern("zipfian", PatternSettings())
