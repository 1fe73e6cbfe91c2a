"""The benchmark's pictures: bars of speed-up and of DRAM's share, by workload and policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.catalog import POLICIES, WORKLOADS
from bench.figures import Row

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {
    "none": "#999999",
    "numab": "#E69F00",
    "damon": "#56B4E9",
    "m5-hpt": "#80C7A9",
    "m5-hwt": "#CC79A7",
    "m5-hpt+hwt": "#009E73",
    "oracle": "#333333",
}


def _bars(axes: Any, rows: Sequence[Row], value: Callable[[Row], float | None], form: str) -> None:
    workloads = list(dict.fromkeys(row.workload for row in rows))
    policies = [name for name in POLICIES if any(row.policy == name for row in rows)]
    width = 0.84 / len(policies)
    for place, policy in enumerate(policies):
        found = {row.workload: value(row) for row in rows if row.policy == policy}
        heights = [found.get(workload) or 0.0 for workload in workloads]
        offset = (place - (len(policies) - 1) / 2) * width
        bars = axes.bar(
            [index + offset for index in range(len(workloads))],
            heights,
            width * 0.94,
            color=COLOURS[policy],
            label=POLICIES[policy].title,
        )
        shown = [form.format(height) if height else "" for height in heights]
        # On white, for the line at 1 runs through those just below it.
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.bar_label(bars, shown, fontsize=7, rotation=90, padding=3, bbox=behind)
    titles = [WORKLOADS[name].title.replace(", ", ",\n") for name in workloads]
    axes.set_xticks(range(len(workloads)), titles, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Write the picture as PNG: speed-up over no policy above, share of reads from DRAM below."""
    workloads = len({row.workload for row in rows})
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(max(8.0, 1.7 * workloads), 7.5), sharex=True, layout="constrained"
    )
    _bars(upper, rows, lambda row: row.speedup_over_none, "{:.2f}")
    upper.axhline(1.0, color="black", linewidth=0.8, zorder=1.5)
    upper.set_ylabel("speed-up over no policy\n(modelled time)")
    upper.margins(y=0.12)
    upper.tick_params(labelbottom=False)
    _bars(lower, rows, lambda row: 100 * row.dram_read_share, "{:.0f}")
    lower.set_ylabel("reads served by DRAM (%)")
    lower.set_ylim(0, 112)
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
