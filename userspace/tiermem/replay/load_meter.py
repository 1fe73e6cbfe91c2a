"""What the daemon's Monitor measures, measured on the replay machine.

Rates and costs follow `tiermem.m5.monitor`: bandwidth since the last round, a
running average of what moves cost, and what a slow read would save.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.m5.hotlist import PAGE_BYTES
from tiermem.m5.observation import LINE_BYTES, MoveCosts, TierLoad
from tiermem.m5.settings import MonitorSettings
from tiermem.native.models import ReplayMachine

FAST, SLOW = 0, 1
_NEW_SAMPLE = 0.2
_FEW_READS = 1000


@dataclass(frozen=True, slots=True)
class Load:
    """One round's view of the tiers."""

    fast: TierLoad
    slow: TierLoad
    costs: MoveCosts
    free_pages: int


class LoadMeter:
    """Call `sample` once a round, `moved_*` after moves."""

    def __init__(self, machine: ReplayMachine, settings: MonitorSettings) -> None:
        self._machine = machine
        self._settings = settings
        self._last_ns = machine.now_ns
        self._last = self._tiers()
        self._gain_ns: float | None = None
        self._promote_ns: float | None = None
        self._demote_ns: float | None = None

    def _tiers(self) -> tuple[dict[str, int], dict[str, int]]:
        return self._machine.memsys.tier(FAST), self._machine.memsys.tier(SLOW)

    def free_pages(self) -> int:
        """Free frames of the fast tier."""
        return self._machine.fast_frames - self._machine.counters()["fast_used"]

    def sample(self) -> Load:
        """Rates since the last call."""
        now_ns = self._machine.now_ns
        elapsed_s = max(now_ns - self._last_ns, 1) / 1e9
        tiers = self._tiers()
        reads = [now["reads"] - then["reads"] for now, then in zip(tiers, self._last, strict=True)]
        stall_ps = tiers[SLOW]["stall_ps"] - self._last[SLOW]["stall_ps"]
        self._last_ns, self._last = now_ns, tiers
        if reads[SLOW] >= _FEW_READS:
            saved = 1.0 - self._settings.fast_latency_share
            self._gain_ns = _averaged(self._gain_ns, 1, stall_ps / 1000 / reads[SLOW] * saved)
        used = self._machine.counters()
        free = self._machine.fast_frames - used["fast_used"]
        return Load(
            fast=TierLoad(
                reads[FAST] * LINE_BYTES / elapsed_s,
                used["fast_used"] * PAGE_BYTES,
                free * PAGE_BYTES,
            ),
            slow=TierLoad(reads[SLOW] * LINE_BYTES / elapsed_s, used["slow_used"] * PAGE_BYTES),
            costs=MoveCosts(
                promote_ns=self._promote_ns or self._settings.move_ns,
                demote_ns=self._demote_ns or self._settings.move_ns,
                gain_ns=self._gain_ns or self._settings.gain_ns,
            ),
            free_pages=free,
        )

    def moved_up(self, pages: int, spent_ns: int) -> None:
        """`pages` were promoted in `spent_ns`."""
        self._promote_ns = _averaged(self._promote_ns, pages, spent_ns)

    def moved_down(self, pages: int, spent_ns: int) -> None:
        """`pages` were demoted in `spent_ns`."""
        self._demote_ns = _averaged(self._demote_ns, pages, spent_ns)


def _averaged(average: float | None, pages: int, spent_ns: float) -> float | None:
    if pages <= 0 or spent_ns <= 0:
        return average
    sample = spent_ns / pages
    return sample if average is None else average + _NEW_SAMPLE * (sample - average)
