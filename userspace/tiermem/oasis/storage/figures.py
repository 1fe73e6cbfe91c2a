"""What /metrics of oasisd says of SSDs and of the volumes on them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tiermem.oasis.names import id_text
from tiermem.oasis.storage.engine import StorageFigures


def storage_metrics(figures: StorageFigures) -> Iterator[Metric]:
    """As of the daemon's last report."""
    yield from _ssd_gauges(figures)
    yield _ssd_commands(figures)
    yield from _volumes(figures)


def _ssd_gauges(figures: StorageFigures) -> Iterator[Metric]:
    gauges = {
        name: GaugeMetricFamily(f"tiermem_oasis_ssd_{name}", summary, labels=("device",))
        for name, summary in (
            ("bytes", "That slices of an SSD of this host may take."),
            ("room_bytes", "The largest slice that there is room for."),
            ("slices", "Slices that it has, with those that are being zeroed."),
            ("slices_used", "Of these, which can be reached by their instances now."),
        )
    }
    for device, state in figures.ssds.items():
        values = (state.bytes, state.room_bytes, len(state.slices), len(state.serving))
        for gauge, value in zip(gauges.values(), values, strict=True):
            gauge.add_metric((id_text(device),), value)
    yield from gauges.values()


def _ssd_commands(figures: StorageFigures) -> Metric:
    family = CounterMetricFamily(
        "tiermem_oasis_ssd_commands",
        "Commands of instances for an SSD of this host, by what became of them; failed ones are "
        "completed too. claims_refused: rows of a link that no honest host writes.",
        labels=("device", "outcome"),
    )
    for device, state in figures.ssds.items():
        counted = state.counters
        for outcome, value in (
            ("completed", counted.completed),
            ("failed", counted.failed),
            ("refused", counted.refused),
            ("completions_lost", counted.completions_lost),
            ("claims_refused", state.refused_claims),
        ):
            family.add_metric((id_text(device), outcome), value)
    return family


def _volumes(figures: StorageFigures) -> Iterator[Metric]:
    families = {
        name: CounterMetricFamily(f"tiermem_oasis_volume_{name}", summary, labels=("volume",))
        for name, summary in (
            ("requests", "Requests of the kernel for a block device, since it is served."),
            ("failed", "Of these, which ended in an error."),
            ("timed_out", "Commands that the SSD did not answer in time."),
            ("resubmitted", "Commands that were sent again, to a new link."),
            ("refused", "Answers to nothing that was asked."),
        )
    }
    for volume, counted in figures.volumes.items():
        front = counted.frontend
        values = (
            counted.requests,
            counted.failed,
            front.timed_out,
            front.resubmitted,
            front.refused,
        )
        for family, value in zip(families.values(), values, strict=True):
            family.add_metric((volume,), value)
    yield from families.values()
