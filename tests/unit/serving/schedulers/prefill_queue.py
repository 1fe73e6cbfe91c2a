"""A server that prefills one request at a time, with room for so much of what it has computed.

Requests are a prefix that others may share, and a suffix of their own. The prefix of the
request that ran last is kept; older ones are dropped, whole, where they do not fit as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tiermem.serving.schedulers.prefill_only import Candidate

Choose = Callable[[Sequence[Candidate], float], Candidate]


@dataclass(frozen=True)
class Asked:
    """A request. at_s: when it comes."""

    key: str
    at_s: float
    prefix: str
    prefix_tokens: int
    suffix_tokens: int


@dataclass
class Served:
    """order: as they ran. hits: whose prefix was there. waited_s: from coming to being done."""

    order: list[str] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)
    waited_s: dict[str, float] = field(default_factory=dict)
    idle_s: float = 0.0


def serve(
    asked: Sequence[Asked],
    cache_tokens: int,
    seconds: Callable[[int, int], float],
    choose: Choose,
) -> Served:
    """All of them to their end. seconds: what a prefill of new behind cached tokens takes."""
    left, cache, served = list(asked), dict[str, int](), Served()
    now_s = 0.0
    while left:
        here = [one for one in left if one.at_s <= now_s]
        if not here:
            coming_s = min(one.at_s for one in left)
            served.idle_s += coming_s - now_s
            now_s = coming_s
            continue
        waiting = [
            Candidate(
                one.key,
                one.at_s,
                one.prefix_tokens + one.suffix_tokens,
                cache.get(one.prefix, 0),
            )
            for one in here
        ]
        chosen = choose(waiting, now_s)
        one = next(one for one in here if one.key == chosen.key)
        now_s += seconds(chosen.input_tokens - chosen.cached_tokens, chosen.cached_tokens)
        left.remove(one)
        served.order.append(one.key)
        if chosen.cached_tokens:
            served.hits.append(one.key)
        served.waited_s[one.key] = now_s - one.at_s
        cache.pop(one.prefix, None)
        cache[one.prefix] = one.prefix_tokens
        while sum(cache.values()) > cache_tokens:
            del cache[next(iter(cache))]
    return served


def first_come(waiting: Sequence[Candidate], _now_s: float) -> Candidate:
    return min(waiting, key=lambda one: (one.arrival_s, one.key))


def shortest_input(waiting: Sequence[Candidate], _now_s: float) -> Candidate:
    """Shortest first, judged once: what is cached does not count."""
    return min(waiting, key=lambda one: (one.input_tokens, one.arrival_s, one.key))
