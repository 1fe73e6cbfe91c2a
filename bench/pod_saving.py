"""What pooling NICs and SSDs saves, by simulation: `make bench-pod` (QUICK=1), bench.pod_saving.

    .venv/bin/python -m bench.pod_saving --trace disaggregated_DLRM_trace.csv --traffic rnd/2013-8

Pods of 2 to 32 hosts against hosts that have what they need of their own: for what VMs are
given (bench.vm_requests says which VMs, bench.pod_packing what is compared), and for the
traffic that goes through NICs (bench.traffic_source, bench.pod_traffic). The two answer two
questions and have figures of their own. Prints tables and writes bench/out/pod_saving.json
and .png: means over seeds, each with the half width of its 95 % confidence interval. Nothing
is fitted to published savings.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from tiermem.errors import TiermemError

from bench import pod_traffic, traffic_saving
from bench.pod_packing import KINDS, WAYS, Outcome, simulate
from bench.pod_saving_picture import draw, panels
from bench.pods import HEADLINE, HOSTS, SIZES, Estimate, by_size, estimate, right_aligned
from bench.result_file import OUT, write_json
from bench.traffic_source import load_source
from bench.vm_requests import load_requests

DRAWN = "drawn, in the shape of published sizes"


def source_of(path: Path | None) -> str:
    """Which VMs they are, for titles."""
    return path.name if path else DRAWN


def savings(outcomes: Sequence[Outcome], way: str, kind: str) -> dict[int, Estimate]:
    """By hosts of a pod; way: one of WAYS."""
    return by_size([one.saved[way][kind] for one in outcomes])


def savings_own(outcomes: Sequence[Outcome], kind: str) -> dict[int, Estimate]:
    """By hosts of a pod, of peaks, with hosts that are not built alike."""
    return by_size([one.saved_own[kind] for one in outcomes])


def figures(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Shares of 1."""
    found: dict[str, float] = {}
    for kind in KINDS:
        peak = savings(outcomes, "peak", kind)[HEADLINE]
        found[f"{kind}_saving_{HEADLINE}_hosts"] = peak.mean
        found[f"{kind}_saving_{HEADLINE}_hosts_half_width"] = peak.half_width
        mostly = savings(outcomes, "mostly", kind)[HEADLINE]
        found[f"{kind}_saving_{HEADLINE}_hosts_mostly"] = mostly.mean
        own = savings_own(outcomes, kind)[HEADLINE]
        found[f"{kind}_saving_{HEADLINE}_hosts_own"] = own.mean
        stranded = estimate([one.stranded[kind] for one in outcomes])
        found[f"{kind}_stranded"] = stranded.mean
    found["core_use"] = float(np.mean([one.core for one in outcomes]))
    return found


def curves(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], dict[int, Estimate]]:
    """Savings by hosts of a pod, by kind and way, or `own`."""
    found = {(kind, way): savings(outcomes, way, kind) for kind in KINDS for way in WAYS}
    return found | {(kind, "own"): savings_own(outcomes, kind) for kind in KINDS}


def table(outcomes: Sequence[Outcome], source: str) -> Table:
    """A row for each size of a pod."""
    made = right_aligned(
        "Capacity saved by pooling what VMs are given, by hosts of a pod",
        f"VMs: {source}. Simulation.",
        ("hosts", "NIC, peak", "99.9 %", "own peaks", "SSD, peak", "99.9 %", "own peaks"),
    )
    found = curves(outcomes)
    columns = [found[kind, way] for kind in KINDS for way in (*WAYS, "own")]
    for size in columns[0]:
        made.add_row(str(size), *(str(one[size]) for one in columns))
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.pod_saving", description=__doc__)
    parser.add_argument("--trace", type=Path, help="of what VMs are given: see bench.vm_traces")
    parser.add_argument("--traffic", type=Path, help="of traffic: see bench.traffic_source")
    parser.add_argument("--hosts", type=int, default=HOSTS, help=f"for VMs (default {HOSTS})")
    parser.add_argument("--seeds", type=int, default=0, help="how many (default 20; quick 5)")
    parser.add_argument("--out", type=Path, default=OUT / "pod_saving.json")
    options = parser.parse_args()
    if options.hosts < 1 or options.hosts % max(SIZES):
        parser.error(f"--hosts {options.hosts}: takes a multiple of {max(SIZES)}")
    if options.seeds < 0:
        parser.error(f"--seeds {options.seeds}: takes a number above 0")
    quick = os.environ.get("QUICK", "0") not in ("", "0")
    options.seeds = options.seeds or (5 if quick else 20)
    return options


def main() -> None:
    """See the module."""
    options = _options()
    hosts, seeds = options.hosts, range(1, 1 + options.seeds)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    begin = time.monotonic()
    try:
        traffic = load_source(options.traffic, HOSTS)
        given: list[Outcome] = []
        sent: list[pod_traffic.Outcome] = []
        for seed in track(seeds, "pod_saving", console=Console(stderr=True)):
            given.append(simulate(load_requests(options.trace, hosts, seed), hosts, SIZES))
            sent.append(pod_traffic.simulate(traffic.draw(seed, traffic.load), SIZES))
        variants = traffic_saving.vary(traffic, seeds[:5])
    except TiermemError as error:
        sys.exit(f"bench.pod_saving: {error}")
    vms = source_of(options.trace)
    console.print(table(given, vms))
    console.print(traffic_saving.table(sent, traffic.name))
    console.print(traffic_saving.variants_table(variants, traffic.name))
    found = figures(given) | traffic_saving.figures(sent)
    for name, value in found.items():
        print(f"{name:>42}: {value:.4g}")
    tree = {
        "benchmark": "pod_saving",
        "time": "simulated",
        "parameters": {"vms": vms, "traffic": traffic.name, "hosts": hosts, "pods": SIZES},
        "figures": found,
        "runs": [{"seed": seed, **asdict(one)} for seed, one in zip(seeds, given, strict=True)],
        "traffic_runs": [
            {"seed": seed, **asdict(one)} for seed, one in zip(seeds, sent, strict=True)
        ],
        "traffic_variants": [asdict(one) for one in variants],
        "wall_s": round(time.monotonic() - begin),
    }
    write_json(options.out, tree)
    shown = panels(curves(given), vms, traffic_saving.curves(sent), traffic.name)
    draw(shown, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
