"""How many requests a second at no worse latency than vLLM's: both workloads, all engines.

vLLM's capacity is measured with all requests there at once. At LOAD of it, with Poisson
arrivals, its better setting gives the mean and the P99 that count. Then PrefillOnly's executor
gets the same requests at rising multiples of that rate, until one of the two is worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bench.prefill_only_contenders import OURS, VLLM_SETTINGS
from bench.prefill_only_engines import Engine, make_engines
from bench.prefill_only_workloads import Compared, Served, Workload, poisson, workloads

LOAD = 0.9
MULTIPLES = (1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.8, 3.4, 4.0)
QUICK_MULTIPLES = (1.0, 1.4, 2.0, 2.8, 4.0)
Say = Callable[[str], None]


def compare_all(quick: bool, say: Say) -> list[Compared]:
    """Both workloads, by the same engines."""
    multiples = QUICK_MULTIPLES if quick else MULTIPLES
    asked = {workload: workload.prompts() for workload in workloads(quick)}
    cache_tokens = max(workload.cache_tokens(prompts) for workload, prompts in asked.items())
    say("starting engines")
    engines = make_engines(cache_tokens)
    return [
        _compare(workload, prompts, engines, cache_tokens, multiples=multiples, say=say)
        for workload, prompts in asked.items()
    ]


def _compare(
    workload: Workload,
    prompts: Sequence[list[int]],
    engines: Mapping[str, Engine],
    cache_tokens: int,
    *,
    multiples: Sequence[float],
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
        return runs[-1]

    at_once = [run(name, None) for name in VLLM_SETTINGS]
    per_s = LOAD * max(one.throughput_per_s for one in at_once)
    best = min((run(name, per_s) for name in VLLM_SETTINGS), key=lambda one: one.mean_s)
    ratio = 0.0
    for multiple in multiples:
        found = run(OURS, multiple * per_s)
        if found.mean_s > best.mean_s or found.p99_s > best.p99_s:
            break
        ratio = multiple
    return Compared(workload, cache_tokens, runs, best.engine, ratio)


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
