"""The tiers' counters in vLLM's own log lines and at its /metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter
from vllm.distributed.kv_transfer.kv_connector.v1.metrics import (
    KVConnectorPromMetrics,
    KVConnectorStats,
)

Counts = Mapping[str, Mapping[str, int]]


class TierStats(KVConnectorStats):  # type: ignore[misc]
    """What happened since the last time, by tier and event; see `counters`."""

    def reset(self) -> None:
        """Nothing happened."""
        self.data: dict[str, dict[str, int]] = {}

    def aggregate(self, other: KVConnectorStats) -> KVConnectorStats:
        """Both together."""
        for tier, events in other.data.items():
            mine = self.data.setdefault(tier, {})
            for event, count in events.items():
                mine[event] = mine.get(event, 0) + count
        return self

    def reduce(self) -> dict[str, int | float]:
        """For a log line."""
        return {
            f"{tier} {event}": count
            for tier, events in self.data.items()
            for event, count in events.items()
        }

    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.data


def since(now: Counts, before: Counts) -> TierStats:
    """The difference of two snapshots."""
    found: dict[str, Any] = {}
    for tier, events in now.items():
        grown = {
            event: count - before.get(tier, {}).get(event, 0) for event, count in events.items()
        }
        if any(grown.values()):
            found[tier] = {event: count for event, count in grown.items() if count}
    return TierStats(data=found)


class TierProm(KVConnectorPromMetrics):  # type: ignore[misc]
    """`vllm:tiermem_kv_events_total{tier, event}`, beside the engine's labels.

    vLLM forgets what begins like its own when another engine starts in the process.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._events = self._counter_cls(
            name="vllm:tiermem_kv_events",
            documentation="What happened in the KV tiers: blocks, or bytes (bytes_in, bytes_out).",
            labelnames=[*self._labelnames, "tier", "event"],
        )

    def observe(self, transfer_stats_data: dict[str, Any], engine_idx: int = 0) -> None:
        """Add what happened since the last time."""
        labels = self.per_engine_labelvalues[engine_idx]
        counter: Counter = self._events
        for tier, events in transfer_stats_data.items():
            for event, count in events.items():
                counter.labels(*labels, tier, event).inc(count)
