"""The porter under a load, with CXLfork, CRIU and cold starts: `python -m bench.porter`.

The porter's half of `bench.fork`, which calls `measure`; by itself it prints its table and
writes bench/out/porter.json. `--trace FILE` takes the arrivals from the public Azure
Functions sample (docs/benchmarks.md says where it comes from) instead of a synthetic
trace in its shape. QUICK=1: fewer functions and calls.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tiermem.errors import TiermemError

from bench.fork_session import ENVIRONMENT, ForkSession, fork_session
from bench.guest.porter_spec import PorterResult, PorterSpec
from bench.porter_figures import PorterRow, figures, rows
from bench.porter_plan import STARTS, Mode, plan
from bench.report import environment
from bench.result_file import OUT, write_json

# Python's own compiled code is beside its modules; cold starts are to find it there.
_ENVIRONMENT = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPYCACHEPREFIX"}


def measure(session: ForkSession, spec: PorterSpec) -> PorterResult:
    """The spec's runs. The session's pool is made anew, and its cxlforkd stopped. BenchError."""
    session.guest.exec(["systemctl", "stop", "fork"], timeout_s=600)
    found = session.ask("porter", spec.to_json(), name="porter", env=_ENVIRONMENT)
    return PorterResult.from_json(found)


def table(found: Sequence[PorterRow]) -> Table:
    """All porters, ample memory first."""
    made = Table(title="The porter under load", caption="Times are modelled time.")
    columns = ("calls", "p50 ms", "p99 ms", "most calls/s", "local MiB", "failed")
    made.add_column("memory")
    made.add_column("instances by")
    for column in columns:
        made.add_column(column, justify="right")
    made.add_column("answered by")
    for row in found:
        memory = row.memory if row.memory == "ample" else f"{row.memory}, {row.memory_mib} MiB"
        made.add_row(
            memory,
            STARTS[row.start],
            str(row.calls),
            f"{row.p50_ms:.1f}",
            f"{row.p99_ms:.1f}",
            f"{row.flood_per_s:.1f}",
            f"{row.local_mib:.0f}",
            str(row.failed),
            ", ".join(f"{how} {count}" for how, count in sorted(row.hows.items())),
        )
    return made


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="bench.porter", description=__doc__)
    parser.add_argument("--trace", type=Path, help="CSV with app, func, end_timestamp, duration")
    parser.add_argument("--out", type=Path, default=OUT / "porter.json")
    options = parser.parse_args()
    mode: Mode = "quick" if os.environ.get("QUICK", "0") not in ("", "0") else "full"
    work = OUT / "work"
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        spec = plan(mode, options.trace)
        with fork_session(work) as session:
            result = measure(session, spec)
    except TiermemError as error:
        sys.exit(f"bench.porter: {error}")
    found = rows(result.runs)
    Console(width=140).print(table(found))
    for name, value in figures(found).items():
        print(f"{name:>34}: {'not measured' if value is None else f'{value:.4g}'}")
    tree = {
        "benchmark": "porter",
        "mode": mode,
        "time": "modelled",
        "environment": environment(result.kernel_release),
        "figures": figures(found),
        "rows": [asdict(row) for row in found],
        "specs": [asdict(spec)],
        "runs": [asdict(result)],
        "wall_s": round(time.monotonic() - begin),
    }
    write_json(options.out, tree)
    if None in figures(found).values():
        sys.exit("bench.porter: not all was measured")


if __name__ == "__main__":
    main()
