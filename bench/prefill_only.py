"""PrefillOnly's benchmark: `python -m bench.prefill_only` (QUICK=1) with .venv-vllm's Python.

Logits against a plain prefill; the longest input under a limit of memory, against vLLM's and
transformers' plain prefills; and requests a second at no worse latency than vLLM's, on the
paper's two workloads made smaller. All in one run, each part on one thread in a process of its
own: what is timed alone (QUICK: the two workloads at once), the rest by twos. Prints tables,
writes bench/out/prefill_only.json; exit status 1 where it could not be measured.
docs/serving.md says more.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from tiermem.errors import MissingError, TiermemError

from bench.benchmark_parts import environment, run_alone
from bench.prefill_only_contenders import ALL, OURS, QUICK, WITHOUT_KV
from bench.prefill_only_tables import tables

if TYPE_CHECKING:
    from bench.prefill_only_likeness import Likeness
    from bench.prefill_only_search import Longest
    from bench.prefill_only_workloads import Compared, Workload

# One thread, in which everything runs that is timed.
SETTINGS = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # looked at, though the number of blocks is given
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
# Memory that is free goes back to the kernel, so that peaks are of what is in use.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_AT_ONCE = 2
_starting = threading.Lock()
FoundT = TypeVar("FoundT")


@dataclass(frozen=True)
class Measured:
    """All runs."""

    likenesses: Sequence[Likeness]
    inputs: Sequence[Longest]
    loads: Sequence[Compared]


def measure_all(quick: bool) -> Measured:
    """Everything; MissingError without vLLM and the model."""
    missing = [name for name in ("torch", "transformers", "vllm") if find_spec(name) is None]
    if missing:
        raise MissingError(
            f"{missing[0]} is not installed: make .venv-vllm has it, and its Python runs this"
        )
    from bench.prefill_only_load import compare, say
    from bench.prefill_only_logits import likenesses
    from bench.prefill_only_memory import longest_input
    from bench.prefill_only_workloads import workloads

    def longest(engine: str) -> Longest:
        say(f"longest input: {engine}")
        return _alone(longest_input, engine, quick, environment=MALLOC)

    def compared(workload: Workload) -> Compared:
        return _alone(compare, workload, quick)

    with ThreadPoolExecutor(_AT_ONCE) as lanes:
        say("logits")
        alike = lanes.submit(_alone, likenesses, quick)
        inputs = list(lanes.map(longest, QUICK if quick else ALL))
    with ThreadPoolExecutor(_AT_ONCE if quick else 1) as lanes:
        loads = list(lanes.map(compared, workloads(quick)))
    return Measured(alike.result(), inputs, loads)


def _alone(
    part: Callable[..., FoundT], *arguments: Any, environment: dict[str, str] | None = None
) -> FoundT:
    """In a process of its own."""
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            # It takes the environment of the moment in which it starts.
            with _starting:
                before = dict(os.environ)
                os.environ.update(SETTINGS | (environment or {}))
                try:
                    found = pool.submit(part, *arguments)
                finally:
                    os.environ.clear()
                    os.environ.update(before)
            return found.result()
    except BrokenProcessPool:
        raise TiermemError(f"{part.__name__}: its process was killed") from None


def figures(found: Measured) -> dict[str, float]:
    """input_ratio: ours over the longest of vLLM's and of transformers' plain prefill.
    qps_ratio: of the workload where it is lowest. throughput: of requests that are all there at
    once; together: the same over PrefillOnly that runs one at a time. difference: with torch's
    kernel, as plain has it."""
    longest = {one.engine: one.tokens for one in found.inputs}
    plain = max(n for name, n in longest.items() if name not in (OURS, WITHOUT_KV))
    by_name = {one.workload.name: one for one in found.loads}
    without_kv = {}
    if WITHOUT_KV in longest:
        ratio = longest[OURS] / longest[WITHOUT_KV]
        without_kv = {"prefillonly_input_ratio_without_kv": ratio}
    return {
        "prefillonly_input_ratio": longest[OURS] / plain,
        **without_kv,
        "prefillonly_qps_ratio": min(one.ratio for one in found.loads),
        **{f"prefillonly_qps_ratio_{name}": one.ratio for name, one in by_name.items()},
        **{
            f"prefillonly_throughput_ratio_{name}": one.throughput_ratio
            for name, one in by_name.items()
        },
        **{
            f"prefillonly_together_ratio_{name}": one.together_ratio
            for name, one in by_name.items()
            if one.together_ratio is not None
        },
        "prefillonly_logit_difference": max(
            one.difference for one in found.likenesses if one.attention == "torch"
        ),
    }


def measure(quick: bool) -> dict[str, Any]:
    """Figures and runs, as a part of a larger result."""
    return as_json(measure_all(quick))


def as_json(found: Measured) -> dict[str, Any]:
    """The same."""
    return {
        "benchmark": "prefill_only",
        "time": "of the processor, on one thread, and between requests as they come",
        "environment": environment(),
        "figures": figures(found),
        "runs": asdict(found),
    }


def main() -> None:
    """See the module."""
    run_alone("prefill_only", __doc__, measure_all, tables=tables, as_json=as_json)


if __name__ == "__main__":
    main()
