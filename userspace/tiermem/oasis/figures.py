"""What /metrics of oasisd says beyond the process' own, as of its last report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tiermem.oasis.allocator.leadership import Standing, leader_of
from tiermem.oasis.allocator.pod import DeviceId
from tiermem.oasis.daemon import OasisDaemon
from tiermem.oasis.names import id_text
from tiermem.oasis.net.counters import Counters
from tiermem.oasis.storage.figures import storage_metrics
from tiermem.service.metrics import Metrics

_CARRIED = ("frames", "bytes")
_REASONS = [one.name for one in fields(Counters) if one.name.startswith(("dropped", "refused"))]


def add_metrics(metrics: Metrics, daemon: OasisDaemon) -> None:
    """Have them shown."""
    metrics.registry.register(_Figures(daemon))


class _Figures(Collector):
    def __init__(self, daemon: OasisDaemon) -> None:
        self._daemon = daemon

    def collect(self) -> Iterable[Metric]:
        figures = self._daemon.figures
        yield from _carried("nic", "the NICs of this host, for all", figures.nics)
        yield from _carried("uplink", "the pod's NICs, for this host's instances", figures.uplinks)
        again = CounterMetricFamily(
            "tiermem_oasis_uplink_frames_again",
            "Frames by way of a NIC that one which fell silent had been given before.",
            labels=("device",),
        )
        for device, one in figures.uplinks.items():
            again.add_metric((id_text(device),), one.tx_again)
        yield again
        yield CounterMetricFamily(
            "tiermem_oasis_moves", "Instances that went to another NIC.", figures.moves
        )
        yield from storage_metrics(self._daemon.storage_figures)
        yield from self._pod()

    def _pod(self) -> Iterator[Metric]:
        daemon = self._daemon
        leadership, term = daemon.member.leadership, daemon.table.term
        for name, summary, value in (
            ("leader", "The host that leads the pod; -1: none.", leader_of(term) if term else -1),
            ("term", "Of the table that this host acts on.", term),
            ("leads", "1 where this host leads.", leadership.standing is Standing.LEADING),
            ("hosts_living", "Hosts that live.", len(leadership.living)),
            ("state_reached", "0 while etcd does not answer.", not daemon.state.trouble),
            (
                "instances",
                "Instances of this host.",
                len(daemon.net.served) + len(daemon.storage.served),
            ),
        ):
            yield GaugeMetricFamily(f"tiermem_oasis_{name}", summary, float(value))
        yield CounterMetricFamily(
            "tiermem_oasis_refused_rows",
            "Reports and tables of other hosts that no honest host writes.",
            daemon.state.refused,
        )


def _carried(
    what: str, of_what: str, counters: Mapping[DeviceId, Counters]
) -> Iterator[CounterMetricFamily]:
    for unit in _CARRIED:
        family = CounterMetricFamily(
            f"tiermem_oasis_{what}_{unit}",
            f"{unit.capitalize()} of {of_what}; tx is from instances.",
            labels=("device", "direction"),
        )
        for device, one in counters.items():
            for direction in ("tx", "rx"):
                value = getattr(one, f"{direction}_{unit}")
                family.add_metric((id_text(device), direction), value)
        yield family
    refused = CounterMetricFamily(
        f"tiermem_oasis_{what}_refusals",
        f"Frames dropped and messages refused by {of_what}.",
        labels=("device", "reason"),
    )
    for device, one in counters.items():
        for reason in _REASONS:
            refused.add_metric((id_text(device), reason), getattr(one, reason))
    yield refused
