"""What pooling NICs and SSDs saves, by simulation: `make bench-pod` (QUICK=1), bench.pod_saving.

    .venv/bin/python -m bench.pod_saving --trace packing_trace_zone_a_v1.sqlite

Pods of 2 to 32 hosts against hosts that have what they need of their own. bench.vm_requests
says which VMs and where their sizes were published, bench.pod_packing what is compared.
Prints a table and writes bench/out/pod_saving.json and .png: means over seeds, each with the
half width of its 95 % confidence interval. Nothing is fitted to published savings.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import stdtrit
from tiermem.errors import TiermemError

from bench.pod_packing import KINDS, WAYS, Outcome, simulate
from bench.pod_saving_picture import draw
from bench.report import OUT, write_json
from bench.vm_requests import load_requests

SIZES = (2, 4, 8, 16, 32)
HOSTS = 64
HEADLINE = 8
CONFIDENCE = 0.95
DRAWN = "drawn, in the shape of published sizes"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and how far the true one may be from it either way."""

    mean: float
    half_width: float


def estimate(values: Sequence[float]) -> Estimate:
    """With Student's t, for few seeds; of one alone nothing is known about the error."""
    if len(values) < 2:
        return Estimate(float(np.mean(values)), float("inf"))
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    width = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * error
    return Estimate(float(np.mean(values)), width)


def savings(outcomes: Sequence[Outcome], way: str, kind: str) -> dict[int, Estimate]:
    """By hosts of a pod; way: one of WAYS."""
    return {size: estimate([one.saved[way][kind][size] for one in outcomes]) for size in SIZES}


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Shares of 1."""
    found: dict[str, float] = {}
    for kind in KINDS:
        peak = savings(outcomes, "peak", kind)[HEADLINE]
        found[f"{kind}_saving_{HEADLINE}_hosts"] = peak.mean
        found[f"{kind}_saving_{HEADLINE}_hosts_half_width"] = peak.half_width
        mostly = savings(outcomes, "mostly", kind)[HEADLINE]
        found[f"{kind}_saving_{HEADLINE}_hosts_mostly"] = mostly.mean
        stranded = estimate([one.stranded[kind] for one in outcomes])
        found[f"{kind}_stranded"] = stranded.mean
    found["core_use"] = float(np.mean([one.core for one in outcomes]))
    return found


def table(outcomes: Sequence[Outcome], source: str) -> Table:
    """A row for each size of a pod."""
    made = Table(
        title="Capacity saved by pooling, by hosts of a pod", caption=f"VMs: {source}. Simulation."
    )
    for column in ("hosts", "NIC, peak", "NIC, 99.9 %", "SSD, peak", "SSD, 99.9 %"):
        made.add_column(column, justify="right")
    columns = [savings(outcomes, way, kind) for kind in KINDS for way in WAYS]
    for size in SIZES:
        cells = [f"{one[size].mean:.1%} ± {one[size].half_width:.1%}" for one in columns]
        made.add_row(str(size), *cells)
    return made


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.pod_saving", description=__doc__)
    parser.add_argument("--trace", type=Path, help="the Azure trace for packing (SQLite)")
    parser.add_argument("--seeds", type=int, default=0, help="how many (default 20; quick 5)")
    parser.add_argument("--out", type=Path, default=OUT / "pod_saving.json")
    options = parser.parse_args()
    quick = os.environ.get("QUICK", "0") not in ("", "0")
    seeds = range(1, 1 + (options.seeds or (5 if quick else 20)))
    begin = time.monotonic()
    try:
        outcomes = [
            simulate(load_requests(options.trace, HOSTS, seed), HOSTS, SIZES)
            for seed in track(seeds, "pod_saving", console=Console(stderr=True))
        ]
    except TiermemError as error:
        sys.exit(f"bench.pod_saving: {error}")
    source = options.trace.name if options.trace else DRAWN
    Console().print(table(outcomes, source))
    found = figures(outcomes)
    for name, value in found.items():
        print(f"{name:>36}: {value:.4g}")
    tree = {
        "benchmark": "pod_saving",
        "time": "simulated",
        "parameters": {"vms": source, "hosts": HOSTS, "pods": SIZES},
        "figures": found,
        "runs": [{"seed": seed, **asdict(one)} for seed, one in zip(seeds, outcomes, strict=True)],
        "wall_s": round(time.monotonic() - begin),
    }
    write_json(options.out, tree)
    curves = {
        (kind, way): {size: (one.mean, one.half_width) for size, one in found_by.items()}
        for kind in KINDS
        for way in WAYS
        for found_by in (savings(outcomes, way, kind),)
    }
    draw(curves, source, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
