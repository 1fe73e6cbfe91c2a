"""vAttention's benchmark: `python -m bench.vattention` (QUICK=1) with .venv-vllm's Python.

How fast memory is committed, against what a thread gets by touching memory; how much is
wasted by page size; a model's step with memory mapped before, within and ahead of it; and
attention over a paged cache of the same size. In time of the clock on the wall, everything
in turns, in one run. Prints tables, writes bench/out/vattention.json; exit status 1 where
it could not be measured. docs/serving.md says more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from tiermem.errors import MissingError

from bench.benchmark_parts import environment, run_alone, table_of
from bench.vattention_memory import (
    ARENA,
    NEW,
    SMOLLM2,
    SOURCES,
    Commit,
    Waste,
    commit_rates,
    page_fault_rate,
    waste,
)

if TYPE_CHECKING:
    from bench.vattention_steps import Attention, Steps

COMMIT_BYTES = 512 << 20
LARGEST_GROUP = 2 << 20


@dataclass(frozen=True)
class Measured:
    """All runs."""

    page_fault_bytes_per_s: float
    commits: Sequence[Commit]
    wastes: Sequence[Waste]
    steps: Sequence[Steps]
    attention: Sequence[Attention]


def measure(quick: bool) -> Measured:
    """Everything; MissingError without torch and the model."""
    try:
        from bench.vattention_steps import attention_times, step_times
    except ImportError as error:
        raise MissingError(
            f"{error.name} is not installed: make .venv-vllm has it, and its Python runs this"
        ) from None
    rounds = 2 if quick else 5
    fault_rate = page_fault_rate(COMMIT_BYTES, rounds)
    return Measured(
        fault_rate,
        commit_rates(COMMIT_BYTES, rounds),
        waste(request_lengths()),
        [
            one
            for together in (False, True)
            for one in step_times(50 if quick else 300, layers_together=together)
        ],
        [
            one
            for tokens in ((256, 1024) if quick else (256, 1024, 4096))
            for one in attention_times(2, tokens, 5 if quick else 30)
        ],
    )


def request_lengths(seed: int = 1, count: int = 1000) -> list[int]:
    """Tokens of so many requests: lognormal, median 1000, at most the model's context."""
    random = np.random.default_rng(seed)
    lengths = random.lognormal(np.log(1000), 1, count).astype(int)
    return [int(one) for one in lengths.clip(1, SMOLLM2.context_tokens)]


def figures(found: Measured) -> dict[str, float]:
    """commit: of new memory in the largest groups, and of an arena's pages (moved). overhead:
    time that steps waited for memory mapped ahead, over the rest of them, in the layout that
    maps more often.
    over_paged: a paged cache's step of attention over ours, at the longest context."""
    rates = {(one.source, one.group_bytes): one.bytes_per_s / 1e9 for one in found.commits}
    ahead = [one.overhead for one in found.steps if one.mapping == "ahead"]
    longest = max(one.tokens for one in found.attention)
    seconds = {one.cache: one.seconds for one in found.attention if one.tokens == longest}
    return {
        "vattention_commit_GBps": rates[NEW, LARGEST_GROUP],
        "vattention_commit_moved_GBps": rates[ARENA, LARGEST_GROUP],
        "vattention_page_fault_GBps": found.page_fault_bytes_per_s / 1e9,
        "vattention_step_overhead": max(ahead),
        "vattention_over_paged": seconds["paged"] / seconds["vAttention"],
    }


def tables(found: Measured) -> list[Table]:
    """For people."""
    faults = found.page_fault_bytes_per_s / 1e9
    groups = sorted({one.group_bytes for one in found.commits})
    commit = table_of(
        f"Commit rate in GB/s; touching an anonymous mapping: {faults:.2f}",
        ("memory from", *map(_size, groups)),
    )
    for source in SOURCES:
        row = [one for one in found.commits if one.source == source]
        commit.add_row(source, *(f"{one.bytes_per_s / 1e9:.2f}" for one in row))
    wasted = table_of("Memory that holds no token", ("cache", "page", "share"))
    for one in found.wastes:
        wasted.add_row(one.cache, _size(one.group_bytes), f"{one.share:.1%}")
    steps = table_of(
        "Decoding, SmolLM2-135M in fp32, one request, 64 KiB",
        ("memory mapped", "layers together", "MB mapped", "step ms", "waited"),
    )
    for step in found.steps:
        steps.add_row(
            step.mapping,
            "yes" if step.layers_together else "no",
            f"{step.mapped_bytes / 1e6:.1f}",
            f"{step.step_s * 1e3:.1f}",
            f"{step.overhead:.2%}",
        )
    attention = table_of("Attention of a step, all layers, two requests", ("cache", "tokens", "ms"))
    for call in found.attention:
        attention.add_row(call.cache, str(call.tokens), f"{call.seconds * 1e3:.2f}")
    return [commit, wasted, steps, attention]


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes / 1024:g} KiB"


def as_json(found: Measured) -> dict[str, Any]:
    """Figures and runs."""
    return {
        "benchmark": "vattention",
        "time": "the clock on the wall",
        "environment": environment(),
        "figures": figures(found),
        "runs": asdict(found),
    }


def main() -> None:
    """See the module."""
    run_alone("vattention", __doc__, measure, tables=tables, as_json=as_json)


if __name__ == "__main__":
    main()
