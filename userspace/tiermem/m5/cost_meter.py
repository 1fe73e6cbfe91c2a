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
# So many of the pages moved last are what a cost is the average of, about. kswapd's
# pages are longer remembered: what it takes for a few thousand depends on what it
# finds, and if that were believed at once, nothing might move again to correct it.
_PROMOTED_REMEMBERED = 1024
_DEMOTED_REMEMBERED = 8192


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
            promote_ns=_or_default(self._promote_ns, self.settings.promote_ns),
            demote_ns=_or_default(self._demote_ns, self.settings.demote_ns),
            gain_ns=self._gain_ns or self.settings.gain_ns,
        )

    def moved_up(self, pages: int, spent_ns: float) -> None:
        """`pages` were promoted in `spent_ns`."""
        if pages > 0 and spent_ns > 0:
            weight = pages / (pages + _PROMOTED_REMEMBERED)
            self._promote_ns = _blend(self.costs.promote_ns, spent_ns / pages, weight)

    def moved_down(self, pages: int, spent_ns: float) -> None:
        """`pages` were demoted, to make room for promotions, in `spent_ns`."""
        if pages > 0 and spent_ns > 0:
            weight = pages / (pages + _DEMOTED_REMEMBERED)
            self._demote_ns = _blend(self.costs.demote_ns, spent_ns / pages, weight)

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
        self._gain_ns = _blend(average, saved_ns, _NEW_LOOK)


def _blend(average: float, sample: float, weight: float) -> float:
    """The average with a sample taken in. Moves weigh by their pages: one page alone
    costs what a system call does, which says little."""
    return average + weight * (sample - average)


def _or_default(measured: float | None, default: float) -> float:
    return default if measured is None else measured
