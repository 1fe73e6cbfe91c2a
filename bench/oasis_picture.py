"""The picture of `bench.oasis`: what pooling adds to round trips and to blocks, how long it is
without a NIC that fails, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench import oasis_net, oasis_storage, pod_packing, pod_saving, pod_traffic, traffic_saving
from bench.oasis_failover import FAILURES, Failure
from bench.oasis_net import PACES, PACKETS, RoundTrips
from bench.oasis_storage import DEPTHS, OPERATIONS, Blocks
from bench.pod_saving_picture import COLOURS as KINDS
from bench.pod_saving_picture import Panel, plot

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#009E73", "#D55E00", "#0072B2", "#E69F00")
HALF = 50
STYLES = {HALF: "-", 90: "--", 99: ":"}
GOAL_US = 7
GOAL_UDP_MS, GOAL_TCP_MS = 38, 133


def _net(axes: Any, runs: Sequence[Any]) -> None:
    trips = [one for one in runs if isinstance(one, RoundTrips)]
    for name, colour in zip(PACES, COLOURS, strict=False):
        for percentile, style in STYLES.items():
            added = [oasis_net.added_us(trips, name, (size, 0.0), percentile) for size in PACKETS]
            label = f"{name}, p{percentile}"
            axes.plot(PACKETS, added, style, marker="o", ms=4, color=colour, label=label)
    own = [oasis_net.added_us(trips, oasis_net.RELAYED, (size, 0.0), HALF) for size in PACKETS]
    axes.plot(PACKETS, own, "-", color="grey", label=f"own NIC behind a TAP, p{HALF}")
    axes.axhline(GOAL_US, color="black", linewidth=0.8)
    axes.set_xlabel("packet (bytes)")
    axes.set_ylabel("added to a round trip (µs)")
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.set_title("Pooled NIC, over the faster baseline (line: the goal)", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _storage(axes: Any, runs: Sequence[Blocks]) -> None:
    names = [(operation, depth) for operation in OPERATIONS for depth in DEPTHS]
    for place, (way, colour) in enumerate(zip(oasis_storage.WAYS, COLOURS[1:], strict=True)):
        rates = [
            oasis_storage.median(runs, way, *name, lambda one: one.per_s) / 1000 for name in names
        ]
        places = [index + (place - 1) * 0.28 for index in range(len(names))]
        bars = axes.bar(places, rates, 0.26, color=colour, label=way)
        axes.bar_label(bars, [f"{rate:.1f}" for rate in rates], fontsize=6)
    axes.set_xticks(range(len(names)), [f"{name}s,\n{depth} in flight" for name, depth in names])
    axes.set_ylabel("thousand blocks of 4 KiB a second")
    axes.set_title("Storage link, over io_uring on the same file", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _failover(axes: Any, runs: Sequence[Failure]) -> None:
    for kind, colour in zip(FAILURES, COLOURS, strict=False):
        some = [one for one in runs if one.kind == kind]
        shares = [100 * (place + 1) / len(some) for place in range(len(some))]
        udp_ms, tcp_ms = [one.udp_ms for one in some], [one.tcp_ms for one in some]
        for name, gaps_ms, style in (("UDP", udp_ms, "-"), ("TCP", tcp_ms, "--")):
            label = f"{name}, {kind}"
            axes.step(sorted(gaps_ms), shares, style, where="post", color=colour, label=label)
    for goal_ms in (GOAL_UDP_MS, GOAL_TCP_MS):
        axes.axvline(goal_ms, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("interruption (ms)")
    axes.set_ylabel("failures that took no longer (%)")
    axes.set_title("NICs that fail (lines: goals, UDP and TCP)", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _pods(axes: Any, runs: Sequence[Any]) -> None:
    given = [one for one in runs if isinstance(one, pod_packing.Outcome)]
    sent = [one for one in runs if isinstance(one, pod_traffic.Outcome)]
    found = pod_saving.curves(given)
    curves = [
        (f"{kind.upper()}, {rule}", KINDS[kind], style, found[kind, way])
        for kind in pod_packing.KINDS
        for way, rule, style in (("peak", "hosts alike", "-"), ("own", "own peaks", ":"))
    ]
    traffic = traffic_saving.savings(sent, traffic_saving.MOSTLY)
    curves.append(("NIC for traffic, own 99.99 %", KINDS["traffic"], ":", traffic))
    plot(axes, Panel("Simulated pods", curves))


PANELS = {"net": _net, "storage": _storage, "failover": _failover, "pods": _pods}


def draw(runs: Mapping[str, Sequence[Any]], path: Path) -> None:
    """A panel for each part that was measured and has one, as PNG."""
    names = [name for name in PANELS if name in runs]
    if not names:
        return
    figure, panels = plt.subplots(
        1, len(names), figsize=(5.2 * len(names), 4.4), layout="constrained", squeeze=False
    )
    for axes, name in zip(panels[0], names, strict=True):
        PANELS[name](axes, runs[name])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
