"""What a monitor works out of counters: rates, and what moves cost and save.

Where the counters come from is the caller's affair: the tracker device's clock
page (`monitor`), or the machine of a replay (`tiermem.replay.load_meter`).
"""

from __future__ import annotations

from tiermem.m5.observation import MoveCosts
from tiermem.m5.settings import MonitorSettings

NS_PER_S = 1_000_000_000
FEW_READS = 1000
"""Fewer reads than these say nothing about reads in general."""
# Share of the average that a new look at the reads gets.
_NEW_LOOK = 0.2
# So many of the pages moved last are what a cost is the average of, about.
_PAGES_REMEMBERED = 1024


def bytes_per_s(read_bytes: int, elapsed_ns: int) -> float:
    """The rate at which bytes were read in `elapsed_ns`."""
    return read_bytes * NS_PER_S / elapsed_ns


class CostMeter:
    """Keeps running averages of what moves cost, and of what a slow read would save."""

    def __init__(self, settings: MonitorSettings) -> None:
        self.settings = settings
        self._gain_ns: float | None = None
        self._promote_ns: float | None = None
        self._demote_ns: float | None = None

    @property
    def costs(self) -> MoveCosts:
        """Measured costs, or the configured ones where nothing was measured yet."""
        return MoveCosts(
            promote_ns=self._or_default(self._promote_ns),
            demote_ns=self._or_default(self._demote_ns),
            gain_ns=self._gain_ns or self.settings.gain_ns,
        )

    def moved_up(self, pages: int, spent_ns: float) -> None:
        """`pages` were promoted in `spent_ns`."""
        self._promote_ns = self._averaged(self._promote_ns, pages, spent_ns)

    def moved_down(self, pages: int, spent_ns: float) -> None:
        """`pages` were demoted, to make room for promotions, in `spent_ns`."""
        self._demote_ns = self._averaged(self._demote_ns, pages, spent_ns)

    def read_slowly(self, reads: int, stall_ns: float) -> None:
        """The slow tier served `reads`, which stalled for `stall_ns` in all.

        What a slow read would save is its mean stall, less what the fast tier
        would take. The stall is measured over the slow tier's own mix of reads (a
        scan's reads stall far less than pointer chasing), and shrinks with latency.
        """
        if reads < FEW_READS:
            return
        saved_ns = stall_ns / reads * (1.0 - self.settings.fast_latency_share)
        average = saved_ns if self._gain_ns is None else self._gain_ns
        self._gain_ns = average + _NEW_LOOK * (saved_ns - average)

    def _averaged(self, average: float | None, pages: int, spent_ns: float) -> float | None:
        """The average with a move taken in; the more pages it was of, the more it weighs.

        One page alone costs what a system call does, which says little.
        """
        if pages <= 0 or spent_ns <= 0:
            return average
        before_ns = self._or_default(average)
        return before_ns + pages / (pages + _PAGES_REMEMBERED) * (spent_ns / pages - before_ns)

    def _or_default(self, average: float | None) -> float:
        return self.settings.move_ns if average is None else average
