"""The benchmark of channels between hosts: `make bench-channel` (QUICK=1), bench.channel.

On this machine, between two of its processors, in time of the clock on the wall; the
memory is coherent here, and the instructions are those that memory without coherence
needs. All rungs of the ladder take turns, several times, in one call. Prints tables,
writes bench/out/channel.json and channel.png; exit status 1 where it could not be
measured, or a message was not the one that was sent. docs/benchmarks.md says more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tiermem.errors import TiermemError

from bench.benchmark_parts import environment, is_quick, tell
from bench.channel_ladder import (
    AUTHORS_PER_S,
    BASE,
    HALF_LOAD,
    LOADS,
    OURS,
    RUNGS,
    SIZES,
    Channel,
    Latency,
    Throughput,
    median_per_s,
    two_cpus,
)
from bench.channel_picture import draw
from bench.result_file import OUT, write_json

SMALL = SIZES[0]


def measure(
    cpus: tuple[int, int], rounds: int, seconds: float
) -> tuple[list[Throughput], list[Latency]]:
    """Every rung `rounds` times, in turns; then latency, by what ours came to."""
    throughputs: list[Throughput] = []
    latencies: list[Latency] = []
    runs = len(SIZES) * rounds * (len(RUNGS) + len(LOADS) + 1)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("channel", total=runs)
        for size in SIZES:
            channel = Channel(size, cpus)
            for _ in range(rounds):
                for rung in RUNGS:
                    progress.update(bar, advance=1, description=f"{size} B: {rung}")
                    throughputs.append(channel.throughput(rung, seconds))
            most = statistics.median(channel.most_timed(seconds) for _ in range(rounds))
            loads = [(load, load * most) for load in LOADS]
            loads.append((AUTHORS_PER_S / most, AUTHORS_PER_S))
            for _ in range(rounds):
                for load, per_s in loads:
                    progress.update(bar, advance=1, description=f"{size} B: latency at {load:.0%}")
                    latencies.append(channel.latency(load, per_s, seconds))
    return throughputs, latencies


def best(latencies: Sequence[Latency], load: float, size: int) -> Latency:
    """The round with the lowest median: what else ran on the machine only adds."""
    found = [one for one in latencies if (one.load, one.message_bytes) == (load, size)]
    return min(found, key=lambda one: one.percentiles_us[50])


def figures(throughputs: Sequence[Throughput], latencies: Sequence[Latency]) -> dict[str, float]:
    """The numbers with goals, of 16 B messages."""
    ours = median_per_s(throughputs, OURS, SMALL)
    return {
        "channel_speedup_over_bypass": ours / median_per_s(throughputs, BASE, SMALL),
        "channel_messages_per_s": ours,
        "channel_half_load_p50_us": best(latencies, HALF_LOAD, SMALL).percentiles_us[50],
        "channel_14M_p50_us": min(
            one.percentiles_us[50]
            for one in latencies
            if (one.wanted_per_s, one.message_bytes) == (AUTHORS_PER_S, SMALL)
        ),
    }


def tables(throughputs: Sequence[Throughput], latencies: Sequence[Latency]) -> list[Table]:
    """The ladder, and latency by load."""
    ladder = Table(title="Messages a second, by what the receiver does about its cache")
    for column in ("message", "receiver", "M messages/s", "over the first"):
        ladder.add_column(column, justify="left" if column == "receiver" else "right")
    loads = Table(title="One-way latency, ours")
    for column in ("message", "load", "M messages/s", "p50 µs", "p90 µs", "p99 µs"):
        loads.add_column(column, justify="right")
    for size in SIZES:
        base = median_per_s(throughputs, BASE, size)
        for rung, (_, title) in RUNGS.items():
            per_s = median_per_s(throughputs, rung, size)
            ladder.add_row(f"{size} B", title, f"{per_s / 1e6:.1f}", f"{per_s / base:.1f}x")
        for load in sorted({one.load for one in latencies if one.message_bytes == size}):
            one = best(latencies, load, size)
            times = [f"{value:.2f}" for value in one.percentiles_us.values()]
            loads.add_row(f"{size} B", f"{load:.0%}", f"{one.per_s / 1e6:.1f}", *times)
    return [ladder, loads]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.channel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=0, help="of every rung (default 7; quick 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of every run")
    parser.add_argument("--out", type=Path, default=OUT / "channel.json")
    options = parser.parse_args()
    rounds = options.rounds or (3 if is_quick() else 7)
    begin = time.monotonic()
    try:
        cpus = two_cpus()
        throughputs, latencies = measure(cpus, rounds, options.seconds)
    except TiermemError as error:
        sys.exit(f"bench.channel: {error}")
    found = figures(throughputs, latencies)
    tell(tables(throughputs, latencies), found)
    tree = {
        "benchmark": "channel",
        "time": "the clock on the wall",
        "environment": environment() | {"cpus": cpus},
        "figures": found,
        "runs": [asdict(one) for one in (*throughputs, *latencies)],
        "wall_s": round(time.monotonic() - begin),
    }
    write_json(options.out, tree)
    draw(throughputs, latencies, options.out.with_suffix(".png"))
    if any(one.wrong for one in (*throughputs, *latencies)):
        sys.exit("bench.channel: messages were not those that were sent")


if __name__ == "__main__":
    main()
