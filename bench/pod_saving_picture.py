"""The picture of what pooling saves: of what VMs are given, and of what NICs carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.pods import Estimate

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {"nic": "#009E73", "ssd": "#0072B2", "traffic": "#D55E00"}
STYLES = {
    "peak": ("-", "hosts alike"),
    "mostly": ("--", "hosts alike, 99.9 % of the time"),
    "own": (":", "own peaks"),
}
TRAFFIC_STYLES = {"max": (":", "own peaks"), "p9999": ("-.", "own 99.99 % of windows")}

Curve = Mapping[int, Estimate]
"""By hosts of a pod."""


@dataclass(frozen=True)
class Panel:
    """curves: label, colour, style and points of each."""

    title: str
    curves: Sequence[tuple[str, str, str, Curve]]


def panels(
    given: Mapping[tuple[str, str], Curve], vms: str, sent: Mapping[str, Curve], traffic: str
) -> list[Panel]:
    """given: by kind and way, or `own`; sent: by way."""
    first = [
        (f"{kind.upper()}, {STYLES[way][1]}", COLOURS[kind], STYLES[way][0], curve)
        for (kind, way), curve in given.items()
    ]
    second = [
        (f"NIC, {TRAFFIC_STYLES[way][1]}", COLOURS["traffic"], TRAFFIC_STYLES[way][0], curve)
        for way, curve in sent.items()
    ]
    return [Panel(f"What VMs are given\n{vms}", first), Panel(f"Traffic\n{traffic}", second)]


def plot(axes: Any, panel: Panel) -> None:
    """Savings in %, and the half widths of their confidence intervals."""
    for label, colour, style, curve in panel.curves:
        axes.errorbar(
            list(curve),
            [100 * one.mean for one in curve.values()],
            [100 * one.half_width for one in curve.values()],
            linestyle=style,
            marker="o",
            markersize=4,
            capsize=3,
            color=colour,
            label=label,
        )
    sizes = sorted({size for *_, curve in panel.curves for size in curve})
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("hosts of a pod")
    axes.set_ylabel("capacity saved (%)")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(panel.title, fontsize=10)
    axes.legend(fontsize=8, frameon=False)


def draw(shown: Sequence[Panel], path: Path) -> None:
    """Write them as PNG, beside each other."""
    figure, axes = plt.subplots(
        1, len(shown), figsize=(5.6 * len(shown), 4.2), layout="constrained", sharey=True
    )
    for one, panel in zip(axes, shown, strict=True):
        plot(one, panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
