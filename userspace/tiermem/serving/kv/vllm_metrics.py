"""The tiers' counters, and how full they are, in vLLM's own log lines and at its /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter, Gauge
from vllm.distributed.kv_transfer.kv_connector.v1.metrics import (
    KVConnectorPromMetrics,
    KVConnectorStats,
)

Counts = dict[str, dict[str, int]]
"""By tier and event, see `counters`."""
Fills = dict[str, dict[str, int | str]]
"""By tier: `capacity_bytes`, `used_bytes`, and in words `where` it is and what of it is
`emulated`, if anything."""


class TierStats(KVConnectorStats):  # type: ignore[misc]
    """What happened since the last time, and how full the tiers are now."""

    def __init__(self, events: Counts | None = None, fills: Fills | None = None) -> None:
        super().__init__(data={"events": events or {}, "fills": fills or {}})

    def reset(self) -> None:
        """Nothing happened."""
        self.data: dict[str, Any] = {"events": {}, "fills": {}}

    def aggregate(self, other: KVConnectorStats) -> KVConnectorStats:
        """Both together; `other` is the later one."""
        for tier, events in other.data["events"].items():
            mine = self.data["events"].setdefault(tier, {})
            for event, count in events.items():
                mine[event] = mine.get(event, 0) + count
        self.data["fills"].update(other.data["fills"])
        return self

    def reduce(self) -> dict[str, int | float]:
        """For a log line."""
        fills = self.data["fills"]
        names = {
            tier: f"{tier} ({fill['emulated']})" if fill["emulated"] else tier
            for tier, fill in fills.items()
        }
        found = {
            f"{names[tier]} {event}": count
            for tier, events in self.data["events"].items()
            for event, count in events.items()
        }
        for tier, fill in fills.items():
            found[f"{names[tier]} used_bytes"] = fill["used_bytes"]
        return found

    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.data["events"] and not self.data["fills"]


def since(now: Mapping[str, Mapping[str, int]], before: Mapping[str, Mapping[str, int]]) -> Counts:
    """The difference of two snapshots, without what did not change."""
    found: Counts = {}
    for tier, events in now.items():
        grown = {
            event: count - before.get(tier, {}).get(event, 0) for event, count in events.items()
        }
        if any(grown.values()):
            found[tier] = {event: count for event, count in grown.items() if count}
    return found


class TierProm(KVConnectorPromMetrics):  # type: ignore[misc]
    """`vllm:tiermem_kv_…`, beside the engine's labels: `events_total{tier, where, event}`,
    `capacity_bytes{tier, where}` and `used_bytes{tier, where}`.

    vLLM forgets what begins like its own when another engine starts in the process.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        labels = [*self._labelnames, "tier", "where"]
        self._events: Counter = self._counter_cls(
            name="vllm:tiermem_kv_events",
            documentation="What happened in the KV tiers: blocks, or bytes (bytes_in, bytes_out).",
            labelnames=[*labels, "event"],
        )
        self._capacity: Gauge = self._gauge_cls(
            name="vllm:tiermem_kv_capacity_bytes",
            documentation="What fits into a KV tier.",
            multiprocess_mode="mostrecent",
            labelnames=labels,
        )
        self._used: Gauge = self._gauge_cls(
            name="vllm:tiermem_kv_used_bytes",
            documentation="What is in a KV tier.",
            multiprocess_mode="mostrecent",
            labelnames=labels,
        )

    def observe(self, transfer_stats_data: dict[str, Any], engine_idx: int = 0) -> None:
        """Add what happened since the last time."""
        engine = self.per_engine_labelvalues[engine_idx]
        events = transfer_stats_data["events"]
        for tier, fill in transfer_stats_data["fills"].items():
            labels = (*engine, tier, fill["where"])
            self._capacity.labels(*labels).set(fill["capacity_bytes"])
            self._used.labels(*labels).set(fill["used_bytes"])
            for event, count in events.get(tier, {}).items():
                self._events.labels(*labels, event).inc(count)
