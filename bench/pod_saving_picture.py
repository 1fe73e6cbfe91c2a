"""The picture of what pooling saves: a curve for each kind of device, by hosts of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {"nic": "#009E73", "ssd": "#0072B2"}
STYLES = {"peak": ("-", ""), "mostly": ("--", ", 99.9 % of the time")}


def draw(
    curves: Mapping[tuple[str, str], Mapping[int, tuple[float, float]]], source: str, path: Path
) -> None:
    """Write it as PNG: savings in %, and the half widths of their confidence intervals."""
    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    for (kind, way), points in curves.items():
        style, label = STYLES[way]
        axes.errorbar(
            list(points),
            [100 * mean for mean, _ in points.values()],
            [100 * width for _, width in points.values()],
            linestyle=style,
            marker="o",
            capsize=3,
            color=COLOURS[kind],
            label=f"{kind.upper()}{label}",
        )
    axes.set_xscale("log", base=2)
    sizes = sorted({size for points in curves.values() for size in points})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("hosts of a pod")
    axes.set_ylabel("capacity saved (%)")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    figure.suptitle(f"VMs: {source}", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
