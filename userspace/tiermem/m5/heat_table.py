"""Bounded memory of page heat: decayed read counts of the pages that lists named.

A direct-mapped table, so a round costs time in proportion to its list and not
to the memory being tracked. Where two pages fall on one slot the hotter stays.
Decay is applied when an entry is looked at, never by a sweep.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tiermem.m5.hotlist import F64, U64

EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
# Knuth's multiplicative constant for 64 bits: floor(2^64 / golden ratio), odd.
_HASH_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)
_HISTORY_LISTS = 8


class HeatTable:
    """Per page: decayed count, in which of the last lists it was, hot-line mask, back-off."""

    def __init__(self, slots: int, half_life_ns: int, mask_lists: int) -> None:
        bits = max(1, (slots - 1).bit_length())
        self._shift = np.uint64(64 - bits)
        self._half_life_ns = half_life_ns
        self._mask_lists = mask_lists
        size = 1 << bits
        self.pages = np.full(size, EMPTY, dtype=np.uint64)
        self.heat = np.zeros(size, dtype=np.float64)
        self.stamp_ns = np.zeros(size, dtype=np.int64)
        self.history = np.zeros(size, dtype=np.uint8)
        self.seen_round = np.zeros(size, dtype=np.int64)
        self.mask_now = np.zeros(size, dtype=np.uint64)
        self.mask_before = np.zeros(size, dtype=np.uint64)
        self.mask_epoch = np.zeros(size, dtype=np.int64)
        # Frames given up by a promotion, separate from heat: see `vacate`.
        self._vacated_page = np.full(size, EMPTY, dtype=np.uint64)
        self._vacated_ns = np.zeros(size, dtype=np.int64)
        self._strikes = np.zeros(size, dtype=np.uint8)

    def _slots_of(self, pages: U64) -> npt.NDArray[np.intp]:
        return ((pages * _HASH_FACTOR) >> self._shift).astype(np.intp)

    def _claim(self, pages: U64, weights: F64, now_ns: int) -> npt.NDArray[np.intp]:
        """Slot of each page, evicting colder owners; -1 where a hotter page holds it."""
        slots = self._slots_of(pages)
        foreign = self.pages[slots] != pages
        if foreign.any():
            owner_heat = self._decayed(slots, now_ns)
            take = np.flatnonzero(foreign & (weights >= owner_heat))
            # Coldest first, so that of two newcomers on one slot the hottest stays.
            take = take[np.argsort(weights[take], kind="stable")]
            taken = slots[take]
            self.pages[taken] = pages[take]
            for column in (self.heat, self.history, self.mask_now, self.mask_before):
                column[taken] = 0
            self.stamp_ns[taken] = now_ns
            slots = np.where(self.pages[slots] == pages, slots, -1)
        return slots

    def _decayed(self, slots: npt.NDArray[np.intp], now_ns: int) -> F64:
        age = (self.stamp_ns[slots] - now_ns) / self._half_life_ns
        return np.asarray(self.heat[slots] * np.exp2(np.minimum(age, 0.0)), dtype=np.float64)

    def add_counts(
        self, pages: U64, counts: F64, now_ns: int, round_number: int
    ) -> npt.NDArray[np.intp]:
        """Add one list (each page at most once); returns each page's slot, -1 where dropped."""
        slots = self._claim(pages, counts, now_ns)
        held = slots >= 0
        at = slots[held]
        self.heat[at] = self._decayed(at, now_ns) + counts[held]
        self.stamp_ns[at] = now_ns
        missed = np.minimum(round_number - self.seen_round[at], _HISTORY_LISTS)
        shifted = (self.history[at].astype(np.uint16) << missed.astype(np.uint16)) & 0xFF
        self.history[at] = shifted.astype(np.uint8) | np.uint8(1)
        self.seen_round[at] = round_number
        return slots

    def holds(self, pages: U64) -> npt.NDArray[np.bool_]:
        """Which of `pages` are in the table."""
        return np.asarray(self.pages[self._slots_of(pages)] == pages, dtype=np.bool_)

    def add_masks(self, pages: U64, masks: U64, round_number: int) -> None:
        """Or hot-line masks into those of `pages` (each at most once) that are in the table.

        A mask is forgotten after one to two spans of `mask_lists` lists without news.
        """
        slots = self._slots_of(pages)
        held = self.pages[slots] == pages
        at = slots[held]
        epoch = round_number // self._mask_lists
        behind = epoch - self.mask_epoch[at]
        now = self.mask_now[at]
        before = np.where(behind == 0, self.mask_before[at], np.where(behind == 1, now, 0))
        self.mask_before[at] = before
        self.mask_now[at] = np.where(behind == 0, now, np.uint64(0)) | masks[held]
        self.mask_epoch[at] = epoch

    def masks_of(self, slots: npt.NDArray[np.intp], round_number: int) -> U64:
        """Hot-line masks remembered for `slots` (all ≥ 0)."""
        behind = round_number // self._mask_lists - self.mask_epoch[slots]
        fresh = np.where(behind <= 1, self.mask_now[slots], np.uint64(0))
        older = np.where(behind == 0, self.mask_before[slots], np.uint64(0))
        return np.asarray(fresh | older, dtype=np.uint64)

    def lists_seen(self, slots: npt.NDArray[np.intp], round_number: int) -> npt.NDArray[np.uint8]:
        """In how many of the last eight lists each page was."""
        missed = np.minimum(round_number - self.seen_round[slots], _HISTORY_LISTS)
        bits = (self.history[slots].astype(np.uint16) << missed.astype(np.uint16)) & 0xFF
        seen: npt.NDArray[np.uint8] = _POPCOUNT8[bits]
        return seen

    def vacate(self, pages: U64, now_ns: int) -> None:
        """Forget the heat of pages that moved up (or could not), and hold their frames back.

        The kernel hands a freed frame to the next page it demotes, so a frame
        that turns hot soon after holds a page that should not have gone down.
        """
        slots = self._slots_of(pages)
        at = slots[self.pages[slots] == pages]
        self.pages[at] = EMPTY
        self.heat[at] = 0.0
        again = self._vacated_page[slots] == pages
        strikes = np.minimum(self._strikes[slots].astype(np.int64) + 1, 8)
        self._strikes[slots] = np.where(again, strikes, 0).astype(np.uint8)
        self._vacated_page[slots] = pages
        self._vacated_ns[slots] = now_ns

    def backed_off(self, pages: U64, now_ns: int, backoff_ns: int) -> npt.NDArray[np.bool_]:
        """Whether each page sits in a frame given up less than its back-off ago.

        The back-off doubles each time the same frame goes round, up to 256 fold.
        """
        slots = self._slots_of(pages)
        span = np.left_shift(np.int64(backoff_ns), self._strikes[slots].astype(np.int64))
        known = self._vacated_page[slots] == pages
        return np.asarray(known & (now_ns - self._vacated_ns[slots] < span), dtype=np.bool_)


_POPCOUNT8 = np.array([bin(value).count("1") for value in range(256)], dtype=np.uint8)
