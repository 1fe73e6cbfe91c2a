"""The benchmark of Oasis: `make bench-oasis` (QUICK=1), bench.oasis.

Channels, the net engine, the storage engine and the simulation of pods, each against its
baseline in the same run, and NICs that fail, on this machine and by the clock on the wall.
Prints tables, writes bench/out/oasis.json and .png; exit status 1 where something could not
be measured. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from tiermem.errors import TiermemError

from bench.channel import processor
from bench.oasis_parts import PARTS, Amount, Found
from bench.result_file import OUT, write_json

FULL = Amount(channel_rounds=7, rounds=15, round_trips=5000, seconds=2.0, failures=50, pod_seeds=20)
QUICK = Amount(channel_rounds=3, rounds=7, round_trips=2000, seconds=0.5, failures=10, pod_seeds=5)


@dataclass(frozen=True)
class Outcome:
    """What each part has found, by its name, and what could not be measured."""

    found: dict[str, Found]
    failures: list[str]


def measure(parts: Sequence[str], amount: Amount) -> Outcome:
    """One part after the other; one that fails does not keep the next from being measured."""
    outcome = Outcome({}, [])
    # Without a thread that draws: it would take the processors that are measured.
    with Progress(console=Console(stderr=True), auto_refresh=False) as progress:
        for name in parts:
            task = progress.add_task(name, total=None)

            def advance(what: str, task: Any = task) -> None:
                progress.update(task, description=what)
                progress.refresh()

            try:
                outcome.found[name] = PARTS[name](amount, advance)
            except TiermemError as error:
                outcome.failures.append(f"{name}: {error}")
            progress.remove_task(task)
    return outcome


def as_json(outcome: Outcome, amount: Amount) -> dict[str, Any]:
    """The whole result as plain data."""
    parts = outcome.found.values()
    return {
        "benchmark": "oasis",
        "time": "the clock on the wall; pods are simulated",
        "environment": {
            "processor": processor(),
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "kernel": platform.release(),
        },
        "parameters": asdict(amount),
        "figures": {name: value for one in parts for name, value in one.figures.items()},
        "failures": outcome.failures,
        "about": {name: one.about for name, one in outcome.found.items()},
        "runs": {name: [asdict(run) for run in one.runs] for name, one in outcome.found.items()},
    }


def report(outcome: Outcome, tree: dict[str, Any], out: Path) -> None:
    """Tables on standard output, the JSON and the picture."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    for one in outcome.found.values():
        for table in one.tables:
            console.print(table)
    for name, value in tree["figures"].items():
        print(f"{name:>30}: {value:.4g}")
    for failure in outcome.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    write_json(out, tree)
    if outcome.found:
        from bench.oasis_picture import draw  # matplotlib takes a second to import

        draw({name: one.runs for name, one in outcome.found.items()}, out.with_suffix(".png"))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.oasis", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--trace", type=Path, help="of what VMs are given, for pods")
    parser.add_argument("--traffic", type=Path, help="of traffic, for pods")
    parser.add_argument("--out", type=Path, default=OUT / "oasis.json")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts {','.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    amount = QUICK if os.environ.get("QUICK", "0") not in ("", "0") else FULL
    amount = replace(amount, vms=options.trace, traffic=options.traffic)
    begin = time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    outcome = measure(parts, amount)
    tree = as_json(outcome, amount) | {"wall_s": round(time.monotonic() - begin)}
    report(outcome, tree, options.out)
    sys.exit(1 if outcome.failures else 0)


if __name__ == "__main__":
    main()
