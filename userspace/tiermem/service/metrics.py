"""A daemon's metrics: its own Prometheus registry, names prefixed with the daemon's.

Names end in their unit (`_bytes`, `_seconds`, `_pages`), counters in `_total`.
The process' own CPU time and memory are always there, as `tiermem_m5_process_…`.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

LATENCY_BUCKETS_S = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)


class Metrics:
    """Declares and renders the metrics of the daemon called `daemon`."""

    def __init__(self, daemon: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = f"tiermem_{daemon}"
        ProcessCollector(namespace=self._prefix, registry=self.registry)
        build = self.gauge("build_info", "Version of tiermem that runs.", ("version",))
        build.labels(_version()).set(1)

    def counter(self, name: str, summary: str, labels: Sequence[str] = ()) -> Counter:
        """Only ever grows; exported as `tiermem_<daemon>_<name>_total`."""
        return Counter(name, summary, labels, namespace=self._prefix, registry=self.registry)

    def gauge(self, name: str, summary: str, labels: Sequence[str] = ()) -> Gauge:
        """Goes up and down; exported as `tiermem_<daemon>_<name>`."""
        return Gauge(name, summary, labels, namespace=self._prefix, registry=self.registry)

    def histogram(
        self,
        name: str,
        summary: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = LATENCY_BUCKETS_S,
    ) -> Histogram:
        """Counts observations by bucket (upper bounds, in the name's unit)."""
        return Histogram(
            name,
            summary,
            labels,
            namespace=self._prefix,
            registry=self.registry,
            buckets=buckets,
        )

    def render(self) -> tuple[bytes, str]:
        """The Prometheus text and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def _version() -> str:
    try:
        return importlib.metadata.version("tiermem")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        return "source"
