"""The two workloads of PrefillOnly, made smaller, and a clock that only runs while one works.

The paper's inputs are of 11k to 17k tokens (20 users, 50 posts of 150 tokens each) and of 40k
to 60k tokens (60 users, one request each). All lengths of both are divided by the same number:
8, with which the longest fills SmolLM2's context of 8192 tokens; by more where that would take
too long. There are fewer requests.

vLLM has KV memory for the longest request, and for nothing beside it: on the paper's A100 it took
inputs of up to 11k tokens. Where it has more (`kv_requests`), more of what it computed is still
there when it is needed again, and less is gained.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS

from bench.prefill_only_contenders import DTYPE, ONE_AT_A_TIME, OURS, VLLM_SETTINGS
from bench.smollm2 import DTypeName

# Of vLLM's capacity: a busy server; and the multiple of that at which fairness is tried.
LOAD, SWEPT = 0.9, 1.4
# By what all lengths are divided: in full, and with QUICK.
_SMALLER: dict[DTypeName, tuple[int, int]] = {"bfloat16": (8, 48), "float32": (16, 96)}
TOKENS_FROM, TOKENS_TO = 1000, 40000


@dataclass(frozen=True)
class Workload:
    """divided_by: all lengths. kv_requests: how many of the longest one vLLM's KV memory holds."""

    name: str
    users: int
    requests_each: int
    profile_tokens: tuple[int, int]
    own_tokens: int
    divided_by: int
    kv_requests: int = 1

    def prompts(self, seed: int = 1) -> list[list[int]]:
        """Of all requests, in an order by chance."""
        random = np.random.default_rng(seed)
        made = []
        for _ in range(self.users):
            low, high = (one // self.divided_by for one in self.profile_tokens)
            profile = _tokens(random, int(random.integers(low, high + 1)))
            for _ in range(self.requests_each):
                made.append(profile + _tokens(random, self.own_tokens // self.divided_by))
        return [made[place] for place in random.permutation(len(made))]

    def kv_tokens(self, prompts: Sequence[Sequence[int]]) -> int:
        """In whole blocks, with room for the token that comes out."""
        longest = max(map(len, prompts)) + 1
        return self.kv_requests * (-(-longest // BLOCK_TOKENS) * BLOCK_TOKENS)


def workloads(quick: bool, dtype: DTypeName = DTYPE) -> list[Workload]:
    """Recommending posts, and judging credit; shorter in float32, which is slower."""
    smaller = _SMALLER[dtype][quick]
    posts, credit = ((11_000, 17_000), 150), ((40_000, 60_000), 0)
    return [
        Workload("recommendation", 10 if quick else 12, 2 if quick else 4, *posts, smaller),
        Workload("credit", 5 if quick else 8, 1, *credit, smaller),
    ]


def poisson(count: int, per_s: float, seed: int = 2) -> list[float]:
    """When requests come. The same seed gives the same pattern at every rate."""
    gaps = np.random.default_rng(seed).exponential(1, count)
    return [float(one) for one in np.cumsum(gaps) / per_s]


def _tokens(random: np.random.Generator, count: int) -> list[int]:
    return [int(one) for one in random.integers(TOKENS_FROM, TOKENS_TO, count)]


@dataclass
class BusyClock:
    """Processor time of this process, and the time skipped while nothing was there to do.

    Others on the machine do not make it run faster. For work in one thread.
    """

    skipped_s: float = 0.0
    began_s: float = field(default_factory=time.process_time)

    def now_s(self) -> float:
        """Since it was made."""
        return time.process_time() - self.began_s + self.skipped_s

    def skip_to(self, then_s: float) -> None:
        """Nothing is to be done until then."""
        self.skipped_s += max(0.0, then_s - self.now_s())


@dataclass(frozen=True)
class Served:
    """A workload at a rate (None: all at once) by an engine; of latencies the mean and P99."""

    workload: str
    engine: str
    per_s: float | None
    requests: int
    wall_s: float
    mean_s: float
    p99_s: float
    cached_share: float

    @property
    def throughput_per_s(self) -> float:
        """From the first request's coming to the last one's answer."""
        return self.requests / self.wall_s


@dataclass(frozen=True)
class Compared:
    """One workload. memory_bytes: of each engine, beside its weights; kv_tokens of it are vLLM's
    KV, cache_tokens PrefillOnly's prefix cache. ratio: the highest multiple of vLLM's rate, at
    LOAD of its capacity, that was no worse; 0: none was."""

    workload: Workload
    memory_bytes: int
    kv_tokens: int
    cache_tokens: int
    runs: list[Served]
    best_vllm: str
    ratio: float

    @property
    def throughput_ratio(self) -> float:
        """Of requests that are all there at once: ours over vLLM's better setting."""
        served = {run.engine: run.throughput_per_s for run in self.runs if run.per_s is None}
        return served[OURS] / max(served[name] for name in served if name in VLLM_SETTINGS)

    @property
    def together_ratio(self) -> float | None:
        """The same, over PrefillOnly that runs one request at a time; None where none shares a
        prefix, and nothing runs together."""
        served = {run.engine: run.throughput_per_s for run in self.runs if run.per_s is None}
        return served[OURS] / served[ONE_AT_A_TIME] if ONE_AT_A_TIME in served else None


def highest(multiples: Sequence[float], is_fine: Callable[[float], bool]) -> float:
    """From 1 upwards until one is not; from 1 downwards until one is. 0 where none is."""
    if is_fine(1.0):
        found = 1.0
        for multiple in (one for one in multiples if one > 1):
            if not is_fine(multiple):
                break
            found = multiple
        return found
    lower = (one for one in reversed(multiples) if one < 1)
    return next((one for one in lower if is_fine(one)), 0.0)
