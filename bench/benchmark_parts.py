"""What benchmarks of several parts have alike: each part is measured, told and written down.

A part that fails does not keep the others from being measured; what it could not measure is
told, and the exit status is 1. Benchmarks of one part take `run_alone`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from tiermem.errors import TiermemError

from bench.result_file import OUT, write_json

Advance = Callable[[str], None]
"""Told what is measured next."""
MeasuredT = TypeVar("MeasuredT")


@dataclass(frozen=True)
class Found:
    """Of one part. runs: dataclasses; about: what a reader needs to judge them; failures: figures
    that its runs do not give."""

    figures: dict[str, float]
    runs: Sequence[Any]
    tables: list[Table]
    about: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What each part has found, by its name, and what could not be measured."""

    found: dict[str, Found]
    failures: list[str]


def is_quick() -> bool:
    """Whether QUICK is set."""
    return os.environ.get("QUICK", "0") not in ("", "0")


def add_parts(parser: argparse.ArgumentParser, parts: Mapping[str, Any]) -> None:
    """The option --parts: all of them unless said."""

    def chosen(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(parts):
            raise argparse.ArgumentTypeError(
                f"{','.join(sorted(unknown))}: there are {', '.join(parts)}"
            )
        return names

    parser.add_argument(
        "--parts", type=chosen, default=list(parts), help=f"of {', '.join(parts)}, by commas"
    )


def measure_parts(
    names: Sequence[str], measure: Callable[[str, Advance], Found], *, is_told: bool = False
) -> Outcome:
    """One part after the other. is_told: also by lines, where nobody watches."""
    outcome = Outcome({}, [])
    columns = (TextColumn("{task.description}"), SpinnerColumn(), TimeElapsedColumn())
    # Without a thread that draws: it would take the processors that are measured.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        for name in names:
            task = progress.add_task(name, total=None)

            def advance(what: str, task: Any = task) -> None:
                progress.update(task, description=what)
                progress.refresh()
                if is_told and not progress.console.is_terminal:
                    print(what, file=sys.stderr, flush=True)

            try:
                found = outcome.found[name] = measure(name, advance)
                outcome.failures.extend(f"{name}: {one}" for one in found.failures)
            except TiermemError as error:
                outcome.failures.append(f"{name}: {error}")
            progress.remove_task(task)
    return outcome


def as_json(benchmark: str, outcome: Outcome, parameters: dict[str, Any]) -> dict[str, Any]:
    """The whole result as plain data."""
    parts = outcome.found.values()
    return {
        "benchmark": benchmark,
        "environment": environment(),
        "parameters": parameters,
        "figures": {name: value for one in parts for name, value in one.figures.items()},
        "failures": outcome.failures,
        "about": {name: one.about for name, one in outcome.found.items()},
        "runs": {name: [asdict(run) for run in one.runs] for name, one in outcome.found.items()},
    }


def environment() -> dict[str, Any]:
    """Where it was measured."""
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
    }


def processor() -> str:
    """This machine's, by its own name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def report(outcome: Outcome, tree: dict[str, Any], out: Path) -> None:
    """Tables and figures on standard output, and the JSON."""
    tell([table for one in outcome.found.values() for table in one.tables], tree["figures"])
    for failure in outcome.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    write_json(out, tree)


def tell(tables: Sequence[Table], figures: Mapping[str, float]) -> None:
    """On standard output, as wide as they are where it is no terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    for table in tables:
        console.print(table)
    width = max(map(len, figures), default=0) + 2
    for name, value in figures.items():
        print(f"{name:>{width}}: {value:.4g}")


def table_of(title: str, columns: Sequence[str], *, words: int = 0, caption: str = "") -> Table:
    """Of numbers, but for one column. words: its place."""
    table = Table(title=title, caption=caption or None)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == words else "right")
    return table


def run_alone(
    name: str,
    description: str | None,
    measure: Callable[[bool], MeasuredT],
    *,
    tables: Callable[[MeasuredT], Sequence[Table]],
    as_json: Callable[[MeasuredT], dict[str, Any]],
) -> None:
    """A benchmark of one part as a program. measure: told whether it is to be quick."""
    parser = argparse.ArgumentParser(prog=f"bench.{name}", description=description)
    parser.add_argument("--out", type=Path, default=OUT / f"{name}.json")
    options = parser.parse_args()
    begin = time.monotonic()
    try:
        found = measure(is_quick())
    except TiermemError as error:
        sys.exit(f"bench.{name}: {error}")
    tree = as_json(found)
    tell(tables(found), tree["figures"])
    write_json(options.out, tree | {"wall_s": round(time.monotonic() - begin)})
