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
# Share of an exponential average that a new cost sample gets.
_NEW_SAMPLE = 0.2


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
            promote_ns=self._promote_ns or self.settings.move_ns,
            demote_ns=self._demote_ns or self.settings.move_ns,
            gain_ns=self._gain_ns or self.settings.gain_ns,
        )

    def moved_up(self, pages: int, spent_ns: float) -> None:
        """`pages` were promoted in `spent_ns`."""
        self._promote_ns = _averaged(self._promote_ns, pages, spent_ns)

    def moved_down(self, pages: int, spent_ns: float) -> None:
        """`pages` were demoted, to make room for promotions, in `spent_ns`."""
        self._demote_ns = _averaged(self._demote_ns, pages, spent_ns)

    def read_slowly(self, reads: int, stall_ns: float) -> None:
        """The slow tier served `reads`, which stalled for `stall_ns` in all.

        What a slow read would save is its mean stall, less what the fast tier
        would take. The stall is measured over the slow tier's own mix of reads (a
        scan's reads stall far less than pointer chasing), and shrinks with latency.
        """
        if reads < FEW_READS:
            return
        saved_ns = stall_ns / reads * (1.0 - self.settings.fast_latency_share)
        self._gain_ns = _averaged(self._gain_ns, 1, saved_ns)


def _averaged(average: float | None, pages: int, spent_ns: float) -> float | None:
    if pages <= 0 or spent_ns <= 0:
        return average
    sample = spent_ns / pages
    return sample if average is None else average + _NEW_SAMPLE * (sample - average)
