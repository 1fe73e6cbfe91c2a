"""The picture of the channel's benchmark: the ladder's rungs, and latency by load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.channel_ladder import PERCENTILES, RUNGS, SIZES, Latency, Throughput, median_per_s

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {16: "#009E73", 64: "#56B4E9"}
STYLES = {50: "-", 90: "--", 99: ":"}


def draw(throughputs: Sequence[Throughput], latencies: Sequence[Latency], path: Path) -> None:
    """Write it as PNG."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    width = 0.4
    for place, size in enumerate(SIZES):
        heights = [median_per_s(throughputs, rung, size) / 1e6 for rung in RUNGS]
        places = [index + (place - 0.5) * width for index in range(len(RUNGS))]
        bars = left.bar(places, heights, width * 0.94, color=COLOURS[size], label=f"{size} B")
        left.bar_label(bars, [f"{height:.1f}" for height in heights], fontsize=8)
        for percentile in PERCENTILES:
            points = sorted(
                {
                    load: min(
                        one.percentiles_us[percentile]
                        for one in latencies
                        if (one.load, one.message_bytes) == (load, size)
                    )
                    for load in {one.load for one in latencies if one.message_bytes == size}
                }.items()
            )
            right.plot(
                [100 * load for load, _ in points],
                [latency for _, latency in points],
                STYLES[percentile],
                marker="o",
                color=COLOURS[size],
                label=f"{size} B, p{percentile}",
            )
    left.set_xticks(
        range(len(RUNGS)),
        ["past the\ncache", "prefetch", "… drop\nconsumed", "… drop early:\nours"],
        fontsize=9,
    )
    left.set_yscale("log")
    left.set_ylabel("million messages a second")
    right.set_yscale("log")
    right.set_xlabel("load (% of the most, each timed)")
    right.set_ylabel("one-way latency (µs)")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.legend(fontsize=8, frameon=False)
    figure.suptitle("A channel between two processors, cache lines moved by hand")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
