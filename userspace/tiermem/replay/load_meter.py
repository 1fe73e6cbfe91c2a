"""What the daemon's Monitor measures, measured on the replay machine.

Bandwidth since the last round, and costs as `tiermem.m5.cost_meter` averages
them for the daemon, out of the machine's own counters.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.m5.cost_meter import CostMeter, bytes_per_s
from tiermem.m5.hotlist import PAGE_BYTES
from tiermem.m5.observation import LINE_BYTES, MoveCosts, TierLoad
from tiermem.m5.settings import MonitorSettings
from tiermem.native.models import ReplayMachine

FAST, SLOW = 0, 1


@dataclass(frozen=True, slots=True)
class Load:
    """One round's view of the tiers."""

    fast: TierLoad
    slow: TierLoad
    costs: MoveCosts
    free_pages: int


class LoadMeter(CostMeter):
    """Call `sample` once a round, `moved_*` after moves."""

    def __init__(self, machine: ReplayMachine, settings: MonitorSettings) -> None:
        super().__init__(settings)
        self._machine = machine
        self._last_ns = machine.now_ns
        self._last = self._tiers()

    def _tiers(self) -> tuple[dict[str, int], dict[str, int]]:
        return self._machine.memsys.tier(FAST), self._machine.memsys.tier(SLOW)

    def free_pages(self) -> int:
        """Free frames of the fast tier."""
        return self._machine.fast_frames - self._machine.counters()["fast_used"]

    def sample(self) -> Load:
        """Rates since the last call."""
        now_ns = self._machine.now_ns
        elapsed_ns = max(now_ns - self._last_ns, 1)
        tiers = self._tiers()
        reads = [now["reads"] - then["reads"] for now, then in zip(tiers, self._last, strict=True)]
        stall_ps = tiers[SLOW]["stall_ps"] - self._last[SLOW]["stall_ps"]
        self._last_ns, self._last = now_ns, tiers
        self.read_slowly(reads[SLOW], stall_ps / 1000)
        used = self._machine.counters()
        free = self._machine.fast_frames - used["fast_used"]
        return Load(
            fast=TierLoad(
                bytes_per_s(reads[FAST] * LINE_BYTES, elapsed_ns),
                used["fast_used"] * PAGE_BYTES,
                free * PAGE_BYTES,
            ),
            slow=TierLoad(
                bytes_per_s(reads[SLOW] * LINE_BYTES, elapsed_ns), used["slow_used"] * PAGE_BYTES
            ),
            costs=self.costs,
            free_pages=free,
        )
