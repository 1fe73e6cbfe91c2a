"""The benchmark of Oasis: `make bench-oasis` (QUICK=1), bench.oasis.

Channels, the net engine, the storage engine and the simulation of pods, each against its
baseline in the same run, and NICs that fail, on this machine and by the clock on the wall.
Prints tables, writes bench/out/oasis.json and .png; exit status 1 where something could not
be measured. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench import benchmark_parts
from bench.benchmark_parts import Outcome, add_parts, is_quick, measure_parts
from bench.oasis_parts import PARTS, Amount
from bench.result_file import OUT

FULL = Amount(channel_rounds=7, rounds=15, round_trips=5000, seconds=2.0, failures=50, pod_seeds=20)
QUICK = Amount(channel_rounds=3, rounds=7, round_trips=2000, seconds=0.5, failures=10, pod_seeds=5)


def measure(parts: Sequence[str], amount: Amount) -> Outcome:
    """One part after the other; one that fails does not keep the next from being measured."""
    return measure_parts(parts, lambda name, advance: PARTS[name](amount, advance))


def as_json(outcome: Outcome, amount: Amount) -> dict[str, Any]:
    """The whole result as plain data."""
    tree = benchmark_parts.as_json("oasis", outcome, asdict(amount))
    return tree | {"time": "the clock on the wall; pods are simulated"}


def report(outcome: Outcome, tree: dict[str, Any], out: Path) -> None:
    """Tables on standard output, the JSON and the picture."""
    benchmark_parts.report(outcome, tree, out)
    if outcome.found:
        from bench.oasis_picture import draw  # matplotlib takes a second to import

        draw({name: one.runs for name, one in outcome.found.items()}, out.with_suffix(".png"))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.oasis", description=__doc__)
    add_parts(parser, PARTS)
    parser.add_argument("--trace", type=Path, help="of what VMs are given, for pods")
    parser.add_argument("--traffic", type=Path, help="of traffic, for pods")
    parser.add_argument("--out", type=Path, default=OUT / "oasis.json")
    options = parser.parse_args()
    amount = QUICK if is_quick() else FULL
    amount = replace(amount, vms=options.trace, traffic=options.traffic)
    begin = time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    outcome = measure(options.parts, amount)
    tree = as_json(outcome, amount) | {"wall_s": round(time.monotonic() - begin)}
    report(outcome, tree, options.out)
    sys.exit(1 if outcome.failures else 0)


if __name__ == "__main__":
    main()
