"""Bounded memory of page heat: decayed read counts of the pages that lists named.

The table itself is C (`native/heat.h`): a round goes through thousands of pages,
and the daemon is to cost next to nothing. What it remembers of a page: reads,
decayed with a half-life; visits, which are the lists it was in (two in a row are
one: what passes by may do so just between two), decayed likewise; a mask of hot
lines; and frames that were given up lately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.errors import MissingError
from tiermem.m5.hotlist import U64, HotList, Unit
from tiermem.native.struct_dtype import struct_dtype

try:
    from tiermem.native._heat import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _heat is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

CANDIDATE = struct_dtype(ffi, "heat_candidate")
"""Fields page, reads_per_s, weight, hot_lines, verdict (m5.observation.Verdict)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How pages are judged; see struct heat_rules in native/heat.h.

    window_s: observed time in which heat was gathered, decayed as heat is;
    interval_s: the part of it that this round's lists are of.
    """

    window_s: float
    interval_s: float
    floor_reads_per_s: float
    min_visits: float
    sure_reads: float
    caution: float
    line_weight: float
    min_hot_lines: int
    backoff_ns: int


class HeatTable:
    """`heat_ns` is the clock that heat decays by: time, plus leaps that make all of it old.

    Rounds are numbered from 1; all lists of a round are added before `judge`.
    """

    def __init__(self, pages: int, half_life_ns: int, mask_rounds: int) -> None:
        places = 1 << max(6, (pages - 1).bit_length())
        table = lib.heat_create(places, half_life_ns, mask_rounds)
        if table == ffi.NULL:
            raise MemoryError(f"a heat table of {places} pages")
        self._table = ffi.gc(table, lib.heat_destroy)
        self._found = np.empty(0, dtype=CANDIDATE)

    def add(self, listed: HotList, heat_ns: int, round_number: int, *, as_heat: bool) -> None:
        """Take in one list. as_heat: reads of lines are their pages' heat; otherwise
        lines only mark pages that are in the table already."""
        addresses, reads = _pointer(listed.addresses), _pointer(listed.counts)
        size = listed.addresses.size
        if listed.unit is Unit.PAGE:
            lib.heat_add_pages(self._table, size, addresses, reads, heat_ns, round_number)
        else:
            lib.heat_add_lines(self._table, size, addresses, reads, as_heat, heat_ns, round_number)

    def judge(
        self, rules: Rules, most: int, now_ns: int, heat_ns: int, round_number: int
    ) -> npt.NDArray[np.void]:
        """Pages of the round's lists, heaviest first, `most` at most: CANDIDATE records."""
        if self._found.size < most:
            self._found = np.empty(most, dtype=CANDIDATE)
        c_rules = ffi.new(
            "struct heat_rules *",
            {name: getattr(rules, name) for name in Rules.__slots__},
        )
        out = ffi.cast("struct heat_candidate *", self._found.ctypes.data)
        count = lib.heat_judge(
            self._table, c_rules, now_ns, heat_ns, round_number, out, self._found.size
        )
        if count < 0:
            raise MemoryError(f"judging {most} pages")
        return self._found[:count]

    def vacate(self, pages: U64, now_ns: int) -> None:
        """Forget the heat of pages that moved up (or could not), and hold their frames back.

        The kernel hands a freed frame to the next page it demotes, so a frame
        that turns hot soon after holds a page that should not have gone down.
        Each time the same frame goes round, it is held back twice as long.
        """
        pages = np.ascontiguousarray(pages)
        lib.heat_vacate(self._table, pages.size, _pointer(pages), now_ns)


def _pointer(values: U64) -> object:
    if values.dtype != np.uint64 or not values.flags.c_contiguous:
        raise ValueError("a contiguous array of uint64 is needed")
    return ffi.cast("uint64_t *", values.ctypes.data)
