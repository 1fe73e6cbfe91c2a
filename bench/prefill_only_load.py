"""How many requests a second at no worse latency than vLLM's: one workload, all engines.

vLLM's capacity is measured with all requests there at once. At LOAD of it, with Poisson arrivals,
its better setting gives the mean and the P99 that count. Then PrefillOnly's executor gets the same
requests at multiples of that rate, until one of the two is worse.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bench.prefill_only_contenders import ONE_AT_A_TIME, OURS, VLLM_QUICK, VLLM_SETTINGS
from bench.prefill_only_engines import Answered, make_engines
from bench.prefill_only_workloads import (
    LOAD,
    SWEPT,
    BusyClock,
    Compared,
    Served,
    Workload,
    highest,
    poisson,
)

MULTIPLES = (0.5, 0.7, 0.8, 0.9, 1.0, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.4, 2.8, 3.4, 4.0)
QUICK_MULTIPLES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
# So often each rate is measured of each engine, and the least mean counts: where requests are few
# and another workload runs beside, a busy moment is a large part of a run.
TURNS, QUICK_TURNS = 1, 2
# λ: the default and others.
FAIRNESSES = (0.05, 0.2, 0.5)
Serve = Callable[[Sequence[list[int]], Sequence[float], Answered], BusyClock]


def say(what: str) -> None:
    """How far it is."""
    print(f"bench.prefill_only: {what}", file=sys.stderr, flush=True)


def compare(workload: Workload, quick: bool) -> Compared:
    """vLLM's two settings (quick: one) and PrefillOnly, in the same memory."""
    prompts, runs = workload.prompts(), list[Served]()
    kv_tokens = workload.kv_tokens(prompts)
    say(f"{workload.name}: starting engines")
    engines = make_engines(prompts, kv_tokens, VLLM_QUICK if quick else tuple(VLLM_SETTINGS))

    def run(name: str, serve: Serve, per_s: float | None) -> Served:
        say(f"{workload.name}: {name}, {'at once' if per_s is None else f'{per_s:.2f}/s'}")
        times_s = [0.0] * len(prompts) if per_s is None else poisson(len(prompts), per_s)
        done = _served(workload.name, name, serve, prompts=prompts, times_s=times_s, per_s=per_s)
        say(
            f"{workload.name}: {name}: mean {done.mean_s:.2f} s, P99 {done.p99_s:.2f} s, "
            f"{done.cached_share:.0%} cached"
        )
        runs.append(done)
        return done

    ours = partial(run, OURS, engines.ours.serve)
    at_once = [run(name, engine.serve, None) for name, engine in engines.vllm.items()]
    better = max(at_once, key=lambda one: one.throughput_per_s)
    capacity_per_s = better.throughput_per_s
    is_swept = workload.requests_each > 1 and not quick
    if is_swept:
        run(ONE_AT_A_TIME, partial(engines.ours.serve, is_together=False), None)
    ours(None)
    turns = QUICK_TURNS if quick else TURNS

    def quietest(run_at: Callable[[float], Served], per_s: float) -> Served:
        return min((run_at(per_s) for _ in range(turns)), key=lambda one: one.mean_s)

    theirs = partial(run, better.engine, engines.vllm[better.engine].serve)
    best = quietest(theirs, LOAD * capacity_per_s)

    def is_no_worse(multiple: float) -> bool:
        found = quietest(ours, multiple * LOAD * capacity_per_s)
        return found.mean_s <= best.mean_s and found.p99_s <= best.p99_s

    ratio = highest(QUICK_MULTIPLES if quick else MULTIPLES, is_no_worse)
    for fairness in FAIRNESSES if is_swept else ():
        serve = partial(engines.ours.serve, fairness=fairness)
        run(f"{OURS}, fairness {fairness:g}", serve, SWEPT * LOAD * capacity_per_s)
    return Compared(
        workload,
        engines.memory_bytes,
        kv_tokens,
        engines.ours.cache_tokens,
        runs,
        best.engine,
        ratio,
    )


def _served(
    workload: str,
    name: str,
    serve: Serve,
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

    clock = serve(prompts, times_s, answered)
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
