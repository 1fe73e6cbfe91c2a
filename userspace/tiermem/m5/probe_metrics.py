"""What the probes beside the daemon counted, as Prometheus metrics.

A counter `tiermem_m5_probe_<probe>_<count>_total` for each count of a probe's
rows, with the row's labels; times in seconds; latency tables as histograms
`tiermem_m5_probe_<probe>_latency_seconds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from tiermem.m5.probe_feed import ProbeFeed, ProbeState, cpu_seconds

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
_PREFIX = "tiermem_m5_probe"
_SLOTS = "slots_from_ns"
_NS_PER_S = 1e9


class ProbeCollector(Collector):
    """Reads the feed when it is scraped."""

    def __init__(self, feed: ProbeFeed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Family]:
        """Everything, now."""
        states = self._feed.states.values()
        attached = GaugeMetricFamily(
            f"{_PREFIX}_attached", "1 while the probe answers.", labels=["probe"]
        )
        cpu = GaugeMetricFamily(
            f"{_PREFIX}_process_cpu_seconds", "CPU time of the probe's process.", labels=["probe"]
        )
        for state in states:
            attached.add_metric([state.name], int(not state.trouble))
            cpu.add_metric([state.name], cpu_seconds(state.pid))
        if states:
            yield attached
            yield cpu
        for state in states:
            yield from _families(state)


def _families(state: ProbeState) -> Iterator[Family]:
    families: dict[str, Family] = {}
    for (rows, labels), sums in state.sums.items():
        if _SLOTS in sums:
            name = f"{_PREFIX}_{_snake(state.name)}_latency_seconds"
            family = families.setdefault(name, _histogram(name, labels))
            assert isinstance(family, HistogramMetricFamily)
            family.add_metric([value for _, value in labels], **_buckets(sums))
            continue
        for count, value in sums.items():
            name, seconds = _counter_name(state.name, rows, count)
            counter = families.setdefault(name, _counter(name, labels))
            assert isinstance(counter, CounterMetricFamily)
            counter.add_metric(
                [text for _, text in labels], value / _NS_PER_S if seconds else value
            )
    yield from families.values()


def _counter_name(probe: str, rows: str, count: str) -> tuple[str, bool]:
    """Full name, and whether ns become seconds."""
    seconds = count == "ns" or count.endswith("_ns")
    what = f"{count.removesuffix('ns')}seconds" if seconds else count
    # Moves between nodes and outcomes of one probe both count pages.
    part = f"{rows}_" if rows == "moves" else ""
    return f"{_PREFIX}_{_snake(probe)}_{part}{what}", seconds


def _snake(name: str) -> str:
    return name.replace("-", "_")


def _counter(name: str, labels: tuple[tuple[str, str], ...]) -> CounterMetricFamily:
    return CounterMetricFamily(name, "As the probe counts it.", labels=[key for key, _ in labels])


def _histogram(name: str, labels: tuple[tuple[str, str], ...]) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, "As the probe times it.", labels=[key for key, _ in labels])


def _buckets(sums: Mapping[str, Any]) -> dict[str, Any]:
    """Slots of powers of two, by lower bound in ns, as cumulative buckets in seconds."""
    total, buckets = 0, []
    for lowest_ns, count in sorted(sums[_SLOTS].items()):
        total += count
        buckets.append((f"{max(2 * lowest_ns, 1) / _NS_PER_S:g}", total))
    buckets.append(("+Inf", total))
    return {"buckets": buckets, "sum_value": sums.get("total_ns", 0) / _NS_PER_S}
