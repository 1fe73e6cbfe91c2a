"""The benchmark of serving: `make bench-serving` (QUICK=1), bench.serving.

Multi-turn sessions on vLLM with this project's KV tiers and scheduler against plain vLLM, on
the CPU, a real model, by the clock on the wall; whether they say the same; and the parts for
vAttention and PrefillOnly. Prints tables, writes bench/out/serving.json and .png; exit status 1
where something could not be measured. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tiermem.errors import TiermemError

from bench import benchmark_parts
from bench.benchmark_parts import Outcome, add_parts, is_quick, measure_parts
from bench.result_file import OUT
from bench.serving_clock import CLOCKS
from bench.serving_configurations import ALL, BOTH_SSD, NAMES, RECOMPUTE, VLLM
from bench.serving_parts import PARTS, Amount, Setting
from bench.serving_traces import load_source
from bench.serving_worker import Workers

FULL = Amount(
    is_quick=False,
    loads=(0.4, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0),
    names=NAMES,
    swept=(VLLM, BOTH_SSD, ALL),
    other_load=1.4,
    warm_turns=5,
    window_turns=40,
    rounds=11,
    fitting_sessions=4,
    wrong_sessions=20,
)
# Sessions are drawn beforehand, and vLLM keeps up with a hundredth of that.
_LOAD_MAX = 100
TIMES = {
    "wall": "the clock on the wall",
    "processor": "of the processor, had by the engine's process, and idle time as it comes; "
    "vattention: the clock on the wall",
}
QUICK = replace(
    FULL,
    is_quick=True,
    loads=(1.0, 4.0, 6.0),
    names=(RECOMPUTE, VLLM, ALL),
    swept=(VLLM, ALL),
    other_load=None,
    warm_turns=2,
    window_turns=12,
    rounds=3,
    wrong_sessions=6,
    wrong_names=(VLLM, ALL),
    think_turns=10,
)


def measure(parts: Sequence[str], amount: Amount, setting: Setting) -> Outcome:
    """One part after the other; one that fails does not keep the next from being measured."""
    return measure_parts(
        parts, lambda name, advance: PARTS[name](amount, setting, advance), is_told=True
    )


def as_json(outcome: Outcome, amount: Amount, setting: Setting) -> dict[str, Any]:
    """The whole result as plain data."""
    parameters = asdict(amount) | {"traces": setting.source.name}
    tree = benchmark_parts.as_json("serving", outcome, parameters)
    tree["environment"]["torch"] = version("torch")
    return tree


def report(outcome: Outcome, tree: dict[str, Any], out: Path) -> None:
    """Tables on standard output, the JSON and the picture."""
    benchmark_parts.report(outcome, tree, out)
    if "sessions" in outcome.found:
        from bench.serving_picture import draw  # matplotlib takes a second to import

        draw(outcome.found["sessions"].runs, out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.serving", description=__doc__)
    add_parts(parser, PARTS)
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
    parser.add_argument(
        "--loads",
        type=_loads,
        help="of sessions: turns a second over what this machine answers when it computes all "
        f"again, comma-separated (default: {_said(FULL.loads)}; QUICK: {_said(QUICK.loads)}); "
        f"those who are not swept are measured at {FULL.other_load:g} alone, with QUICK not at all",
    )
    parser.add_argument("--out", type=Path, default=OUT / "serving.json")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"--threads {options.threads}: must be at least 1")
    if options.ssd != OUT and not options.ssd.is_dir():
        parser.error(f"--ssd {options.ssd}: is not a folder")
    return options


def _said(loads: Sequence[float]) -> str:
    return ",".join(f"{one:g}" for one in loads)


def _loads(text: str) -> tuple[float, ...]:
    try:
        loads = tuple(sorted({float(one) for one in text.split(",")}))
    except ValueError:
        loads = ()
    if not loads or not all(0 < one <= _LOAD_MAX for one in loads):
        raise argparse.ArgumentTypeError(
            f"{text!r}: numbers above 0 and up to {_LOAD_MAX} are allowed, as in 0.7,1,4"
        )
    return loads


def main() -> None:
    """See the module."""
    options = _options()
    amount = QUICK if is_quick() else FULL
    amount = replace(amount, threads=options.threads, loads=options.loads or amount.loads)
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
