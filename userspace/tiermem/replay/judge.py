"""Judge: how much of the heat that there was a policy's choice covers.

The measure is M5's: reads that reached memory for the pages chosen, over the
reads of the same number of truly hottest pages (exact counts, as PAC has them)
of the slow tier in the same interval. 1.0 is perfect.
"""

from __future__ import annotations

import numpy as np

from tiermem.m5.hotlist import PAGE_SHIFT, U64, HotList, Unit
from tiermem.native.models import LIST_ENTRIES_MAX, U32, ReplayMachine


class Coverage:
    """Sums chosen over best, interval after interval."""

    def __init__(self) -> None:
        self.chosen_reads = 0
        self.best_reads = 0
        self.pages = 0

    def add(self, counts: U32, chosen: U64) -> None:
        """`counts`: reads by slow frame (0 = the first), `chosen`: positions in it, each once."""
        n = min(chosen.size, counts.size)
        if n == 0:
            return
        self.pages += int(chosen.size)
        self.chosen_reads += int(counts[chosen.astype(np.intp)].sum(dtype=np.uint64))
        best = np.partition(counts, counts.size - n)[counts.size - n :]
        self.best_reads += int(best.sum(dtype=np.uint64))

    @property
    def ratio(self) -> float | None:
        """None where nothing was chosen, or nothing was read."""
        return self.chosen_reads / self.best_reads if self.best_reads else None


class Judge:
    """Exact counts of the slow tier by interval; an interval has no moves inside it."""

    def __init__(self, machine: ReplayMachine) -> None:
        self._machine = machine
        self._start = self._slow_reads().copy()
        self.listed = Coverage()
        self.promoted = Coverage()

    def _slow_reads(self) -> U32:
        return self._machine.reads[self._machine.fast_frames :]

    def counts(self) -> U32:
        """Reads by slow frame in this interval, the copies' own left out."""
        return self._slow_reads() - self._start

    def judge(self, counts: U32, listed: U64, promoted: U64) -> None:
        """Add a round's choices: page frame numbers of slow frames."""
        first = np.uint64(self._machine.fast_frames)
        self.listed.add(counts, np.unique(listed) - first)
        self.promoted.add(counts, np.unique(promoted) - first)

    def start_interval(self) -> None:
        """After the round's moves."""
        self._start = self._slow_reads().copy()


def exact_list(counts: U32, first_frame: int, interval_ns: int) -> HotList:
    """The hottest pages by exact counts, as long as a device's list may be."""
    n = min(LIST_ENTRIES_MAX, counts.size)
    hottest = np.argpartition(counts, counts.size - n)[counts.size - n :]
    hottest = hottest[counts[hottest] > 0]
    # A stable order, whatever the partition made of equals.
    hottest = hottest[np.lexsort((hottest, -counts[hottest].astype(np.int64)))]
    addresses = (hottest.astype(np.uint64) + np.uint64(first_frame)) << np.uint64(PAGE_SHIFT)
    return HotList(Unit.PAGE, addresses, counts[hottest].astype(np.uint64), interval_ns)
