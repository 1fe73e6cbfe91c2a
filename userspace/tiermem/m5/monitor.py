"""Monitor: how hard each tier is read, how full it is, and what a move costs.

Read bandwidth comes from the tracker device's clock page, which costs a few
loads, so every round takes it. Without the device nothing on a plain host
counts a tier's reads for us (that would take uncore or resctrl counters):
bandwidth is then None and the policy does without. LRU bytes and free bytes
come from sysfs, and kswapd's work from its thread, at most once a period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tiermem.layer.sysfs import Tree
from tiermem.m5.cost_meter import FEW_READS, NS_PER_S, CostMeter, bytes_per_s
from tiermem.m5.kswapd_work import KswapdMeter
from tiermem.m5.node_memory import NodeMemory, kept_free_bytes, read_nodes
from tiermem.m5.observation import MoveCosts, TierLoad
from tiermem.m5.settings import MonitorSettings

# Intervals shorter than this give rates that are mostly noise.
_SHORTEST_NS = 1_000_000
_WATERMARKS_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class TierTraffic:
    """Counters since some start: bytes read, line reads, and time they stalled for."""

    read_bytes: int
    reads: int
    stall_ns: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """One reading of the hardware's counters."""

    fast: TierTraffic
    slow: TierTraffic


class TrafficSource(Protocol):
    """Where per-tier traffic is counted."""

    def read_traffic(self) -> Traffic | None:
        """A fresh reading; None while the device is not counting."""


class NoTraffic:
    """A host without counters of a tier's reads."""

    def read_traffic(self) -> Traffic | None:
        """Always None."""
        return None


@dataclass(frozen=True, slots=True)
class Sample:
    """What the monitor says for one round. `room_bytes`: free, and taken without waking kswapd."""

    fast: TierLoad
    slow: TierLoad
    costs: MoveCosts
    room_bytes: int


class Monitor(CostMeter):
    """Turns counters into rates and costs, and knows how full the nodes are."""

    def __init__(
        self,
        fast_nodes: tuple[int, ...],
        slow_nodes: tuple[int, ...],
        source: TrafficSource,
        settings: MonitorSettings,
        tree: Tree,
    ) -> None:
        super().__init__(settings)
        self._fast_nodes = fast_nodes
        self._slow_nodes = slow_nodes
        self._source = source
        self._tree = tree
        self._kswapd = KswapdMeter(fast_nodes, tree)
        self._kept_free_bytes = 0
        self._watermarks_ns: int | None = None
        self._last_traffic: tuple[int, Traffic] | None = None
        self._read_Bps: tuple[float | None, float | None] = (None, None)
        self._looked_at: Traffic | None = None
        self._memory: tuple[NodeMemory, NodeMemory] | None = None
        self._memory_ns = 0

    def sample(self, now_ns: int) -> Sample:
        """Rates since the last call, and memory as of the last period."""
        self._take_traffic(now_ns)
        period_ns = round(self.settings.period_s * NS_PER_S)
        if self._memory is None or now_ns - self._memory_ns >= period_ns:
            self._memory = (
                read_nodes(self._fast_nodes, self._tree),
                read_nodes(self._slow_nodes, self._tree),
            )
            self._memory_ns = now_ns
            self._read_watermarks(now_ns)
            demoted = self._kswapd.take()
            self.moved_down(demoted.pages, demoted.cpu_ns)
        fast, slow = self._memory
        return Sample(
            TierLoad(self._read_Bps[0], fast.active_bytes, fast.free_bytes),
            TierLoad(self._read_Bps[1], slow.active_bytes, slow.free_bytes),
            self.costs,
            max(0, fast.free_bytes - self._kept_free_bytes),
        )

    def look(self) -> float | None:
        """Share of the reads that the slow tier served since the last look; a few loads.

        None where it is not counted, or too few reads were seen to tell.
        """
        before, after = self._looked_at, self._source.read_traffic()
        self._looked_at = after
        if before is None or after is None:
            return None
        slow = after.slow.reads - before.slow.reads
        reads = slow + after.fast.reads - before.fast.reads
        return slow / reads if reads >= FEW_READS and slow >= 0 else None

    def fresh_room_bytes(self) -> int:
        """Free bytes of the fast tier that can be taken without waking kswapd, now."""
        free = read_nodes(self._fast_nodes, self._tree).free_bytes
        return max(0, free - self._kept_free_bytes)

    def _read_watermarks(self, now_ns: int) -> None:
        """They change with the kernel's settings only, some of which are the daemon's own."""
        if self._watermarks_ns is None or now_ns - self._watermarks_ns >= _WATERMARKS_NS:
            self._kept_free_bytes = kept_free_bytes(self._fast_nodes, self._tree)
            self._watermarks_ns = now_ns

    def _take_traffic(self, now_ns: int) -> None:
        traffic = self._source.read_traffic()
        if traffic is None:
            self._last_traffic = None
            self._read_Bps = (None, None)
            return
        if self._last_traffic is None:
            self._last_traffic = (now_ns, traffic)
            return
        then_ns, before = self._last_traffic
        elapsed_ns = now_ns - then_ns
        if elapsed_ns < _SHORTEST_NS:
            return
        self._last_traffic = (now_ns, traffic)
        fast_bytes = traffic.fast.read_bytes - before.fast.read_bytes
        slow_bytes = traffic.slow.read_bytes - before.slow.read_bytes
        if fast_bytes < 0 or slow_bytes < 0:  # the device was re-armed from zero
            self._read_Bps = (None, None)
            return
        self._read_Bps = (bytes_per_s(fast_bytes, elapsed_ns), bytes_per_s(slow_bytes, elapsed_ns))
        self.read_slowly(
            traffic.slow.reads - before.slow.reads, traffic.slow.stall_ns - before.slow.stall_ns
        )
