"""The two workloads of PrefillOnly, made smaller, and a clock that only runs while one works.

The paper's inputs are of 11k to 17k tokens (20 users, 50 posts of 150 tokens each) and of 40k
to 60k tokens (60 users, one request each). All lengths are divided by the same number, so that
they fit the model's context and this machine's time, and there may be fewer requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.prefill_only_contenders import OURS

TOKENS_FROM, TOKENS_TO = 1000, 40000


@dataclass(frozen=True)
class Workload:
    """divided_by: all lengths. share: of all users' profiles, how much the prefix cache holds."""

    name: str
    users: int
    requests_each: int
    profile_tokens: tuple[int, int]
    own_tokens: int
    divided_by: int
    cache_share: float = 0.25

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

    def cache_tokens(self, prompts: Sequence[Sequence[int]]) -> int:
        """At least the longest request's, which vLLM cannot do without."""
        profiles = sum(map(len, prompts)) / self.requests_each
        return max(int(profiles * self.cache_share), 2 * max(map(len, prompts)))


def workloads(quick: bool) -> list[Workload]:
    """Recommending posts, and judging credit."""
    return [
        Workload(
            "recommendation", 20, 4 if quick else 15, (11_000, 17_000), 150, 40 if quick else 8
        ),
        Workload("credit", 10 if quick else 60, 1, (40_000, 60_000), 0, 50 if quick else 20),
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
    """One workload. ratios: by load, the highest multiple that was no worse; 0: none was."""

    workload: Workload
    cache_tokens: int
    runs: list[Served]
    best_vllm: str
    ratios: dict[float, float]

    @property
    def throughput_ratio(self) -> float:
        """Of requests that are all there at once: ours over vLLM's better setting."""
        served = {run.engine: run.throughput_per_s for run in self.runs if run.per_s is None}
        return served.pop(OURS) / max(served.values())


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
