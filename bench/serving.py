"""The benchmark of serving: `make bench-serving` (QUICK=1), bench.serving.

Multi-turn sessions on vLLM with this project's KV tiers and scheduler against plain vLLM, on
the CPU, a real model, by the clock on the wall; whether they say the same; and the parts for
vAttention and PrefillOnly. Prints tables, writes bench/out/serving.json and .png; exit status 1
where something could not be measured. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from tiermem.errors import TiermemError

from bench.channel import processor
from bench.result_file import OUT, write_json
from bench.serving_clock import CLOCKS
from bench.serving_configurations import ALL, CXL_SSD, NAMES, RECOMPUTE, VLLM
from bench.serving_parts import PARTS, Amount, Found, Setting
from bench.serving_traces import load_source
from bench.serving_worker import Workers

FULL = Amount(
    is_quick=False,
    loads=(0.4, 0.8, 1.2, 2.0),
    names=NAMES,
    swept=NAMES,
    other_load=1.2,
    warm_s=6,
    window_s=32,
    rounds=15,
    fitting_sessions=6,
    wrong_sessions=8,
)
TIMES = {
    "wall": "the clock on the wall",
    "processor": "of the processor, had by the engine's process, and idle time as it comes; "
    "vattention: the clock on the wall",
}
QUICK = replace(
    FULL,
    is_quick=True,
    loads=(0.4, 1.2, 2.0),
    names=(RECOMPUTE, VLLM, CXL_SSD, ALL),
    swept=(VLLM, ALL),
    warm_s=3,
    window_s=14,
    rounds=5,
    fitting_sessions=4,
    wrong_sessions=3,
)


@dataclass(frozen=True)
class Outcome:
    """What each part has found, by its name, and what could not be measured."""

    found: dict[str, Found]
    failures: list[str]


def measure(parts: Sequence[str], amount: Amount, setting: Setting) -> Outcome:
    """One part after the other; one that fails does not keep the next from being measured."""
    outcome = Outcome({}, [])
    columns = (TextColumn("{task.description}"), SpinnerColumn(), TimeElapsedColumn())
    # Without a thread that draws: it would take the processors that are measured.
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        for name in parts:
            task = progress.add_task(name, total=None)

            def advance(what: str, task: Any = task) -> None:
                progress.update(task, description=what)
                progress.refresh()
                if not progress.console.is_terminal:
                    print(what, file=sys.stderr, flush=True)

            try:
                found = outcome.found[name] = PARTS[name](amount, setting, advance)
                outcome.failures.extend(f"{name}: {one}" for one in found.failures)
            except TiermemError as error:
                outcome.failures.append(f"{name}: {error}")
            progress.remove_task(task)
    return outcome


def as_json(outcome: Outcome, amount: Amount, setting: Setting) -> dict[str, Any]:
    """The whole result as plain data."""
    parts = outcome.found.values()
    return {
        "benchmark": "serving",
        "environment": {
            "processor": processor(),
            "processors": os.cpu_count(),
            "load": os.getloadavg(),
            "kernel": platform.release(),
            "torch": version("torch"),
        },
        "parameters": asdict(amount) | {"traces": setting.source.name},
        "figures": {name: value for one in parts for name, value in one.figures.items()},
        "failures": outcome.failures,
        "about": {name: one.about for name, one in outcome.found.items()},
        "runs": {name: [asdict(run) for run in one.runs] for name, one in outcome.found.items()},
    }


def report(outcome: Outcome, tree: dict[str, Any], out: Path) -> None:
    """Tables on standard output, the JSON and the picture."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    for one in outcome.found.values():
        for table in one.tables:
            console.print(table)
    for name, value in tree["figures"].items():
        print(f"{name:>30}: {value:.4g}")
    for failure in outcome.failures:
        print(f"not measured: {failure}", file=sys.stderr)
    write_json(out, tree)
    if "sessions" in outcome.found:
        from bench.serving_picture import draw  # matplotlib takes a second to import

        draw(outcome.found["sessions"].runs, out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.serving", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--azure", type=Path, help="Azure LLM inference 2023, conversations (CSV)")
    parser.add_argument("--mooncake", type=Path, help="Mooncake's conversations (JSON lines)")
    parser.add_argument(
        "--ssd", type=Path, default=OUT, help="a folder on the SSD to use (default: bench/out)"
    )
    parser.add_argument(
        "--threads", type=int, default=FULL.threads, help="of each engine (default: CPUs but one)"
    )
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="processor: what the engine's process has had of one, where others work beside it",
    )
    parser.add_argument("--out", type=Path, default=OUT / "serving.json")
    options = parser.parse_args()
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"--parts {','.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    if options.threads < 1:
        parser.error(f"--threads {options.threads}: must be at least 1")
    if options.ssd != OUT and not options.ssd.is_dir():
        parser.error(f"--ssd {options.ssd}: is not a folder")
    return options


def main() -> None:
    """See the module."""
    options = _options()
    amount = QUICK if os.environ.get("QUICK", "0") not in ("", "0") else FULL
    amount = replace(amount, threads=options.threads)
    begin = time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    try:
        source = load_source(options.azure, options.mooncake)
    except (TiermemError, OSError) as error:
        sys.exit(f"bench.serving: {error}")
    with (
        TemporaryDirectory(dir=options.ssd, prefix="serving-") as folder,
        Workers(OUT, amount.threads, options.clock) as workers,
    ):
        setting = Setting(source, workers, Path(folder))
        outcome = measure(options.parts, amount, setting)
    tree = as_json(outcome, amount, setting) | {"time": TIMES[options.clock]}
    tree |= {"wall_s": round(time.monotonic() - begin)}
    report(outcome, tree, options.out)
    sys.exit(1 if outcome.failures else 0)


if __name__ == "__main__":
    main()
