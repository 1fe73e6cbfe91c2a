"""How many requests a second at no worse latency than vLLM's: both workloads, all engines.

vLLM's capacity is measured with all requests there at once. At each of LOADS of it, with
Poisson arrivals, its better setting gives the mean and the P99 that count. Then PrefillOnly's
executor gets the same requests at multiples of that rate, until one of the two is worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.prefill_only_contenders import OURS, VLLM_SETTINGS
from bench.prefill_only_engines import Engine, make_engines
from bench.prefill_only_workloads import (
    Compared,
    Served,
    Workload,
    highest,
    poisson,
    workloads,
)

# Of vLLM's capacity: a busy server, and one with more to do than it can, for a while.
LOADS = (0.9, 1.2)
MULTIPLES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.8, 3.4, 4.0)
QUICK_MULTIPLES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
Say = Callable[[str], None]


def compare_all(quick: bool, say: Say) -> list[Compared]:
    """Both workloads, by the same engines."""
    multiples, loads = (QUICK_MULTIPLES, LOADS[:1]) if quick else (MULTIPLES, LOADS)
    asked = {workload: workload.prompts() for workload in workloads(quick)}
    cache_tokens = max(workload.cache_tokens(prompts) for workload, prompts in asked.items())
    say("starting engines")
    engines = make_engines(cache_tokens)
    return [
        _compare(
            workload, prompts, engines, cache_tokens, multiples=multiples, loads=loads, say=say
        )
        for workload, prompts in asked.items()
    ]


def _compare(
    workload: Workload,
    prompts: Sequence[list[int]],
    engines: Mapping[str, Engine],
    cache_tokens: int,
    *,
    multiples: Sequence[float],
    loads: Sequence[float],
    say: Say,
) -> Compared:
    runs: list[Served] = []

    def run(name: str, per_s: float | None) -> Served:
        say(f"{workload.name}: {name}, {'at once' if per_s is None else f'{per_s:.2f}/s'}")
        times_s = [0.0] * len(prompts) if per_s is None else poisson(len(prompts), per_s)
        runs.append(
            _served(
                workload.name, name, engines[name], prompts=prompts, times_s=times_s, per_s=per_s
            )
        )
        done = runs[-1]
        say(f"  mean {done.mean_s:.2f} s, P99 {done.p99_s:.2f} s, {done.cached_share:.0%} cached")
        return done

    capacity_per_s = max(run(name, None).throughput_per_s for name in VLLM_SETTINGS)
    run(OURS, None)
    best, ratios = "", {}
    for load in loads:
        per_s = load * capacity_per_s
        names = [best] if best else list(VLLM_SETTINGS)
        theirs = min((run(name, per_s) for name in names), key=lambda one: one.mean_s)
        best = theirs.engine

        def is_no_worse(multiple: float, per_s: float = per_s, theirs: Served = theirs) -> bool:
            ours = run(OURS, multiple * per_s)
            return ours.mean_s <= theirs.mean_s and ours.p99_s <= theirs.p99_s

        ratios[load] = highest(multiples, is_no_worse)
    return Compared(workload, cache_tokens, runs, best, ratios)


def _served(
    workload: str,
    name: str,
    engine: Engine,
    *,
    prompts: Sequence[list[int]],
    times_s: Sequence[float],
    per_s: float | None,
) -> Served:
    cached: dict[int, int] = {}
    latencies: list[float] = []

    def answered(number: int, cached_tokens: int, now_s: float) -> None:
        cached[number] = cached_tokens
        latencies.append(now_s - times_s[number])

    clock = engine.serve(prompts, times_s, answered)
    return Served(
        workload,
        name,
        per_s,
        len(prompts),
        clock.now_s() - times_s[0],
        float(np.mean(latencies)),
        float(np.percentile(latencies, 99)),
        sum(cached.values()) / sum(map(len, prompts)),
    )
