"""The picture of `bench.fork`: restore, first call and local memory over the footprint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from bench.fork_catalog import METHODS
from bench.fork_figures import Row
from bench.guest.fork_spec import COLD, CRIU_CXL, CRIU_DRAM, FORK, GHOST

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {
    COLD: "#999999",
    FORK: "#333333",
    CRIU_DRAM: "#E69F00",
    CRIU_CXL: "#D55E00",
    f"mow{GHOST}": "#009E73",
    f"moa{GHOST}": "#56B4E9",
    f"ht{GHOST}": "#CC79A7",
}
"""What is drawn: with a ghost, since without one the curves lie beside these."""

PANELS: tuple[tuple[str, Callable[[Row], float]], ...] = (
    ("restore to first useful instruction (ms)", lambda row: row.restore_ms),
    ("end of first call (ms)", lambda row: row.first_call_ms),
    ("local memory after warm calls (MiB)", lambda row: row.own_warm_mib),
)


def _curves(axes: Any, rows: Sequence[Row], value: Callable[[Row], float]) -> None:
    for method, colour in COLOURS.items():
        mine = [row for row in rows if row.method == method]
        if mine:
            sizes = [row.footprint_mib for row in mine]
            heights = [value(row) for row in mine]
            axes.plot(sizes, heights, "o-", color=colour, markersize=4, label=METHODS[method])
    sizes = sorted({row.footprint_mib for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("footprint (MiB)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture of one function's rows as PNG."""
    figure, panels = plt.subplots(1, len(PANELS), figsize=(12.0, 4.6), layout="constrained")
    for axes, (title, value) in zip(panels, PANELS, strict=True):
        _curves(axes, rows, value)
        axes.set_title(title, fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    figure.suptitle("Starting a warm function once more, in the CXL testbed (modelled time)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    plt.close(figure)
