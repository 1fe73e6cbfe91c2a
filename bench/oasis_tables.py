"""The tables of `bench.oasis`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from rich.table import Table

from bench import oasis_net, oasis_storage
from bench.oasis_failover import FAILURES, Failure
from bench.oasis_net import (
    BASELINES,
    DIRECTIONS,
    PACES,
    RELAYED,
    WAYS,
    Load,
    RoundTrips,
    Stream,
)
from bench.oasis_storage import DEPTHS, OPERATIONS, Blocks


def round_trips(trips: Sequence[RoundTrips]) -> Table:
    """Each way's round trip by packet and gap, and what it is over the baselines."""
    table = Table(
        title="Round trips of UDP (µs)",
        caption="Added: over the faster of direct and near in the same round; over relayed: a "
        "NIC of the host's own behind a TAP. Medians over rounds.",
    )
    for column in ("packet", "gap"):
        table.add_column(column, justify="right")
    table.add_column("way")
    for title in ("", "added ", "over relayed "):
        for percentile in oasis_net.PERCENTILES:
            table.add_column(f"{title}p{percentile}", justify="right")
    for load in sorted({(one.packet_bytes, one.gap_us) for one in trips}, key=_by_gap):
        for name in WAYS:
            what = (f"{load[0]} B", f"{load[1] / 1000:g} ms") if name == WAYS[0] else ("", "")
            over = [BASELINES] * (name not in BASELINES) + [(RELAYED,)] * (name in PACES)
            table.add_row(
                *what, name, *_round_trip(trips, name, load, over), end_section=name == WAYS[-1]
            )
    return table


def _round_trip(
    trips: Sequence[RoundTrips], way: str, load: Load, over: Sequence[Sequence[str]]
) -> list[str]:
    return [
        f"{oasis_net.round_trip_us(trips, way, load, one):.1f}" for one in oasis_net.PERCENTILES
    ] + [
        f"{oasis_net.added_us(trips, way, load, one, baselines):+.1f}"
        for baselines in over
        for one in oasis_net.PERCENTILES
    ]


def _by_gap(what: tuple[int, float]) -> tuple[float, int]:
    return what[1], what[0]


def streams(runs: Sequence[Stream]) -> Table:
    """What goes through, by way and direction."""
    table = Table(title="TCP, one stream (Gbit/s)", caption="Medians over rounds.")
    table.add_column("way")
    for direction in DIRECTIONS:
        table.add_column(direction, justify="right")
    for name in WAYS:
        rates = [
            statistics.median(
                one.bytes_per_s for one in runs if (one.way, one.direction) == (name, direction)
            )
            for direction in DIRECTIONS
        ]
        table.add_row(name, *(f"{8 * rate / 1e9:.2f}" for rate in rates))
    return table


def blocks(runs: Sequence[Blocks]) -> Table:
    """Latency and operations a second of both ways to the disk."""
    table = Table(
        title="Random blocks of 4 KiB: by io_uring on the same file, and through a link",
        caption="Added: linked less the faster direct way in the same round; medians over rounds.",
    )
    columns = (
        "operation",
        "in flight",
        "direct IOPS",
        "away",
        "linked",
        "direct p50 µs",
        "away p50",
    )
    for column in (*columns, "added p50 µs", "p90", "p99"):
        table.add_column(column, justify="left" if column == "operation" else "right")
    for operation in OPERATIONS:
        for depth in DEPTHS:
            rates = [
                oasis_storage.median(runs, way, operation, depth, lambda one: one.per_s)
                for way in oasis_storage.WAYS
            ]
            times = [
                oasis_storage.median(
                    runs, baseline, operation, depth, lambda one: one.percentiles_us[50]
                )
                for baseline in oasis_storage.BASELINES
            ]
            added = [
                oasis_storage.added_us(runs, operation, depth, p) for p in oasis_storage.PERCENTILES
            ]
            table.add_row(
                operation,
                str(depth),
                *(f"{rate:.0f}" for rate in rates),
                *(f"{time:.0f}" for time in times),
                *(f"{time:+.1f}" for time in added),
            )
    return table


def failures(found: Sequence[Failure]) -> Table:
    """The longest times without an answer, by kind of failure."""
    table = Table(
        title="NICs that fail under traffic (ms)",
        caption="UDP: the longest time without an answer; TCP: without anything arriving.",
    )
    columns = ("UDP least", "median", "most", "TCP least", "median", "most")
    table.add_column("failure")
    for column in ("of these", *columns):
        table.add_column(column, justify="right")
    for kind in FAILURES:
        some = [one for one in found if one.kind == kind]
        udp_ms, tcp_ms = [one.udp_ms for one in some], [one.tcp_ms for one in some]
        gaps = [of(gaps_ms) for gaps_ms in (udp_ms, tcp_ms) for of in (min, statistics.median, max)]
        table.add_row(kind, str(len(some)), *(f"{one:.1f}" for one in gaps))
    return table
