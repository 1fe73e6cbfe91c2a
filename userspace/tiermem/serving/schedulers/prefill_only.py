"""PrefillOnly's order of one-token requests (SOSP 2025): shortest prefill first, calibrated.

Before each request is chosen, every waiting one is judged anew, by what of it is cached now:

    score = seconds of its prefill - fairness · seconds that it has waited

The lowest score runs. A request that shares its prefix with the one that has just run is short
now, and runs before the prefix is gone.

The paper runs one request at a time: where a prefill fills the processor, several take as long
as one after the other, and all end with the last. With few tokens to compute, as behind a cached
prefix, a processor mostly reads weights; so requests that are short **and next to each other in
the order** run together (`choose_together`). None is passed, and what they compute together is
less than `tokens_max`: whoever comes after them waits no longer than for one such request.

`fairness` is the paper's λ, here of seconds to seconds. With it above 0 nobody starves: who
has come more than T / fairness after a request of T seconds cannot pass it any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tiermem.serving.schedulers.prefill_time import PrefillTime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request that waits, since `arrival_s` of any clock; cached_tokens: of its input, now."""

    key: str
    arrival_s: float
    input_tokens: int
    cached_tokens: int


def score_s(request: Candidate, now_s: float, time: PrefillTime, fairness: float) -> float:
    """The lower, the earlier it runs."""
    prefill_s = time.seconds(request.input_tokens - request.cached_tokens, request.cached_tokens)
    return prefill_s - fairness * max(0.0, now_s - request.arrival_s)


def choose(
    waiting: Iterable[Candidate], now_s: float, time: PrefillTime, fairness: float
) -> Candidate | None:
    """The one to run next, of equals the one that came first; None where none waits."""
    return min(waiting, key=_order(now_s, time, fairness), default=None)


def choose_together(
    waiting: Iterable[Candidate],
    now_s: float,
    time: PrefillTime,
    fairness: float,
    *,
    count_max: int,
    tokens_max: int,
) -> Sequence[Candidate]:
    """The first in the order, and those right behind it for as long as all together compute at
    most `tokens_max` tokens; one that computes more by itself runs alone. None where none waits.
    """
    order = sorted(waiting, key=_order(now_s, time, fairness))
    chosen, tokens = order[:1], sum(map(_new_tokens, order[:1]))
    for one in order[1:count_max]:
        tokens += _new_tokens(one)
        if tokens > tokens_max:
            break
        chosen.append(one)
    return chosen


def _order(
    now_s: float, time: PrefillTime, fairness: float
) -> Callable[[Candidate], tuple[float, float, str]]:
    """By score; of equals the one that came first."""
    return lambda one: (score_s(one, now_s, time, fairness), one.arrival_s, one.key)


def _new_tokens(request: Candidate) -> int:
    return request.input_tokens - request.cached_tokens
