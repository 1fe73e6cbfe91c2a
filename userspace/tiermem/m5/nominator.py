"""Nominator: which listed pages deserve a place in the fast tier, best first.

Three sources of evidence, as in the paper: `hpt` takes hot pages as they come;
`hwt` rebuilds a bit mask of hot 64 B lines per page and takes dense pages;
`hpt+hwt` takes hot pages and lets each hot line add weight, so that of two
equally hot pages the dense one goes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tiermem.m5.heat_table import HeatTable
from tiermem.m5.hotlist import F64, LINES_PER_PAGE, U64, HotList, Unit, popcount
from tiermem.m5.observation import Outcome, Verdict
from tiermem.service.config import Settings

NominatorMode = Literal["hpt", "hwt", "hpt+hwt"]
_MS = 1_000_000


class NominatorSettings(Settings):
    """Config section [nominator]."""

    mode: NominatorMode = "hpt+hwt"
    half_life_ms: float = Field(default=500.0, gt=0, le=3_600_000)
    min_lists: int = Field(default=2, ge=1, le=8)
    sure_count: int = Field(default=2 * LINES_PER_PAGE, ge=1)
    min_hot_lines: int = Field(default=4, ge=1, le=LINES_PER_PAGE)
    line_weight: float = Field(default=1.0, ge=0, le=64)
    mask_lists: int = Field(default=8, ge=1, le=1024)
    backoff_ms: float = Field(default=1000.0, ge=0, le=3_600_000)
    table_pages: int = Field(default=32768, ge=64, le=1 << 24)


@dataclass(frozen=True, slots=True)
class Nominees:
    """Candidates best first: page number, expected reads a second, hot lines, verdict."""

    pages: U64
    reads_per_s: F64
    hot_lines: npt.NDArray[np.uint8]
    verdicts: npt.NDArray[np.uint8]


class Nominator:
    """Keeps decayed heat and line masks across lists; see `nominate`."""

    def __init__(self, settings: NominatorSettings) -> None:
        self.settings = settings
        self._table = HeatTable(
            settings.table_pages, round(settings.half_life_ms * _MS), settings.mask_lists
        )
        self._round = 0
        self._window_ns = 0.0
        self._last_ns = 0

    def nominate(
        self, lists: tuple[HotList, ...], now_ns: int, floor_reads_per_s: float = 0.0
    ) -> Nominees:
        """Take one round's lists in and judge the pages they name.

        Page-list entries below `floor_reads_per_s` are passed over: in a quiet
        round, when nothing comes near to being worth a move, that is nearly all
        of them, and the round costs next to nothing.
        """
        self._round += 1
        page_lists = [one for one in lists if one.unit is Unit.PAGE]
        line_lists = [one for one in lists if one.unit is Unit.LINE]
        interval_ns = max((one.interval_ns for one in lists), default=0)
        self._age_window(now_ns, interval_ns)
        mode = self.settings.mode
        if mode == "hwt":
            pages, masks, counts = _group_lines(_lines_of(line_lists))
        else:
            pages, counts = _merge_pages(page_lists)
            worth = counts >= floor_reads_per_s * interval_ns / 1e9
            pages, counts = pages[worth], counts[worth]
        slots = self._table.add_counts(pages, counts, now_ns, self._round)
        if mode == "hwt":
            self._table.add_masks(pages, masks, self._round)
        elif mode == "hpt+hwt" and pages.size:
            known = _lines_of(line_lists).of_pages_in(self._table)
            line_pages, masks, _ = _group_lines(known)
            self._table.add_masks(line_pages, masks, self._round)
        held = slots >= 0
        found = _Found(pages[held], counts[held], slots[held], interval_ns)
        return self._judge(found, now_ns)

    def settle(self, outcome: Outcome) -> None:
        """Forget pages that left the slow tier, back off from those that could not be moved."""
        self._table.vacate(outcome.moved, outcome.now_ns)
        self._table.vacate(outcome.refused, outcome.now_ns)

    def _judge(self, found: _Found, now_ns: int) -> Nominees:
        table, settings = self._table, self.settings
        pages, counts, slots = found.pages, found.counts, found.slots
        rates = self._rates(found)
        verdicts = np.full(pages.size, Verdict.PROMOTE, dtype=np.uint8)
        one_off = (table.lists_seen(slots, self._round) < settings.min_lists) & (
            counts < settings.sure_count
        )
        if settings.mode == "hpt":
            hot_lines = np.zeros(pages.size, dtype=np.uint8)
            weight = rates
        else:
            hot_lines = popcount(table.masks_of(slots, self._round))
            weight = rates * (1.0 + settings.line_weight * hot_lines / LINES_PER_PAGE)
        if settings.mode == "hwt":
            verdicts[hot_lines < settings.min_hot_lines] = Verdict.SPARSE
        verdicts[one_off] = Verdict.ONE_OFF
        backoff_ns = round(settings.backoff_ms * _MS)
        verdicts[table.backed_off(pages, now_ns, backoff_ns)] = Verdict.BACKED_OFF
        order = np.argsort(-weight, kind="stable")
        return Nominees(pages[order], rates[order], hot_lines[order], verdicts[order])

    def _age_window(self, now_ns: int, interval_ns: int) -> None:
        """Time observed, decayed as heat is: what a page's heat is to be divided by."""
        age_ns = max(0, now_ns - self._last_ns)
        decay = 2.0 ** (-age_ns / (self.settings.half_life_ms * _MS))
        self._window_ns = self._window_ns * decay + interval_ns
        self._last_ns = now_ns

    def _rates(self, found: _Found) -> F64:
        """Reads a second of pages that are in the present list.

        A page is looked at just after it was read, so its heat is at a peak:
        one that a scan visits every second would seem twice as hot as it is.
        Counting the present list half, and half its time, takes the mean of
        the heat before and after it.
        """
        heat = self._table.heat[found.slots] - found.counts / 2
        window_s = max(self._window_ns - found.interval_ns / 2, _MS) / 1e9
        return np.asarray(heat / window_s, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Found:
    """Pages of the present list and the table's slots that hold them."""

    pages: U64
    counts: F64
    slots: npt.NDArray[np.intp]
    interval_ns: int


def _merge_pages(lists: list[HotList]) -> tuple[U64, F64]:
    """Pages of several page lists, each once, with summed counts."""
    if len(lists) == 1:
        return lists[0].pages, lists[0].counts.astype(np.float64)
    if not lists:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.float64)
    pages, where = np.unique(np.concatenate([one.pages for one in lists]), return_inverse=True)
    counts = np.concatenate([one.counts for one in lists]).astype(np.float64)
    sums = np.bincount(where, weights=counts, minlength=pages.size)
    return pages, sums.astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Lines:
    """Entries of line lists: page, one-hot bit of the line, reads."""

    pages: U64
    bits: U64
    counts: U64

    def of_pages_in(self, table: HeatTable) -> _Lines:
        """Those whose page the table has."""
        known = table.holds(self.pages)
        return _Lines(self.pages[known], self.bits[known], self.counts[known])


def _lines_of(lists: list[HotList]) -> _Lines:
    nothing = np.empty(0, dtype=np.uint64)
    return _Lines(
        np.concatenate([nothing, *(one.pages for one in lists)]),
        np.concatenate([nothing, *(one.line_bits for one in lists)]),
        np.concatenate([nothing, *(one.counts for one in lists)]),
    )


def _group_lines(lines: _Lines) -> tuple[U64, U64, F64]:
    """Lines by page: pages (each once), or-ed line masks, summed counts."""
    if not lines.pages.size:
        return lines.pages, lines.bits, np.empty(0, dtype=np.float64)
    order = np.argsort(lines.pages)
    pages, bits = lines.pages[order], lines.bits[order]
    counts = lines.counts[order].astype(np.float64)
    starts = np.flatnonzero(np.concatenate(([True], pages[1:] != pages[:-1])))
    return pages[starts], np.bitwise_or.reduceat(bits, starts), np.add.reduceat(counts, starts)
