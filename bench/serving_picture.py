"""The picture of `bench.serving`: latency over throughput, and where histories came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.serving_configurations import NAMES
from bench.serving_figures import BOUND_S, PLACES, Point

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = dict(
    zip(
        NAMES,
        ("#999999", "#000000", "#CC79A7", "#56B4E9", "#F0E442", "#009E73", "#E69F00", "#D55E00"),
        strict=True,
    )
)
PLACE_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CCCCCC")


def draw(points: Sequence[Point], path: Path) -> None:
    """Two panels, as PNG."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
    _latency(left, points)
    _places(right, points, _commonest_rate(points))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def _latency(axes: Any, points: Sequence[Point]) -> None:
    there = {one.engine for one in points}
    for name in (one for one in NAMES if one in there):
        curve = sorted((one for one in points if one.engine == name), key=lambda one: one.rate)
        axes.plot(
            [one.requests_per_s for one in curve],
            [one.ttft_s[95] for one in curve],
            marker="o",
            ms=4,
            color=COLOURS[name],
            label=name,
        )
    axes.axhline(BOUND_S, color="black", linewidth=0.8, linestyle=":")
    # Not by logarithms: figures between two rates are on these very lines.
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.set_xlabel("answers a second")
    axes.set_ylabel("P95 of the time to the first token (s)")
    axes.set_title("Each point is a rate of sessions (dotted: the bound)", fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def _commonest_rate(points: Sequence[Point]) -> float:
    """Of which most configurations have a point, the highest."""
    counts = Counter(one.rate for one in points)
    return max(counts, key=lambda rate: (counts[rate], rate))


def _places(axes: Any, points: Sequence[Point], rate: float) -> None:
    there = {one.engine: one for one in points if one.rate == rate}
    names = [name for name in NAMES if name in there]
    below = [0.0] * len(names)
    for place, colour in zip(PLACES, PLACE_COLOURS, strict=True):
        shares = [100 * there[name].places[place] for name in names]
        axes.barh(names, shares, left=below, color=colour, label=place)
        below = [one + other for one, other in zip(below, shares, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("tokens of histories (%)")
    axes.set_title(f"Where their KV came from, at {rate:.2g} sessions a second", fontsize=10)
    axes.legend(fontsize=8, frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.14))
