"""What `bench.serving` makes of what was played; no I/O, so that tests can judge it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tiermem.errors import TiermemError
from tiermem.serving.kv.counters import TierName

from bench.serving_engine import BLOCK_TOKENS
from bench.serving_play import Answered, Played

# MLPerf Inference's limits on the time to the first token of Llama 2 70B: for a server, and for
# users who wait for it (interactive).
BOUND_S = 2.0
BOUNDS_S = {"": BOUND_S, "_interactive": 0.45}
# Below that, a share of memory in use is one of a few steps.
_FULL_TIME_SHARE = 0.05
PERCENTILES = (50, 95, 99)
OWN, MEMORY, BELOW, SSD = "own cache", "memory", "emulated CXL below it", "SSD"
RECOMPUTED = "recomputed"
PLACES = (OWN, MEMORY, BELOW, SSD, RECOMPUTED)
_OF_TIERS: Mapping[str, TierName] = {MEMORY: "memory", BELOW: "cxl", SSD: "ssd"}


@dataclass(frozen=True)
class Point:
    """A configuration at a rate. Times by percentile. unanswered: requests that were given up
    before their first token; ttft_s has them with the time that they had waited by then.
    memory_share: of the engine's KV memory, in use while requests waited for it, which they did
    for full_time_share of the window."""

    engine: str
    rate: float
    requests: int
    unanswered: int
    requests_per_s: float
    tokens_per_s: float
    ttft_s: Mapping[int, float]
    tpot_s: Mapping[int, float | None]
    places: Mapping[str, float]
    recomputed_tokens: int
    memory_share: float | None
    full_time_share: float
    preemptions: int


@dataclass(frozen=True)
class AtBound:
    """The most requests a second at which P95 TTFT keeps the bound. is_least: it did so at the
    highest rate that was tried."""

    requests_per_s: float
    is_least: bool


@dataclass(frozen=True)
class Throughputs:
    """Requests a second at equal P95 TTFT."""

    ours_per_s: float
    theirs_per_s: float

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.ours_per_s / self.theirs_per_s


def point_of(played: Played) -> Point:
    """Throughput is of answers that ended within the window, whenever they were asked for;
    latencies are of all requests that came in it, those included that were answered later."""
    came, ended = played.came, played.ended
    if not came:
        raise TiermemError(f"{played.engine}: no request came within {played.window_s:.0f} s")
    paces = [one for one in map(_tpot_s, came) if one is not None]
    places = hit_places(played)
    return Point(
        played.engine,
        played.rate,
        len(came),
        sum(one.first_s is None for one in came),
        len(ended) / played.window_s,
        sum(one.answer_tokens for one in ended) / played.window_s,
        _percentiles([_ttft_s(one, played.wall_s) for one in came]),
        _percentiles(paces) if paces else dict.fromkeys(PERCENTILES),
        places,
        sum(
            max(0, one.known_tokens - one.cached_tokens) for one in came if one.first_s is not None
        ),
        played.memory.full_share,
        played.memory.full_s / played.window_s,
        played.preemptions,
    )


def hit_places(played: Played) -> dict[str, float]:
    """Where the tokens of histories came from, as shares of 1, of requests that were served, when
    they were first admitted. What was cached and came from no tier was the engine's own."""
    served = [one for one in played.came if one.first_s is not None]
    known = sum(one.known_tokens for one in served)
    if not known:
        return dict.fromkeys(PLACES, 0.0)
    cached = sum(min(one.known_tokens, one.cached_tokens) for one in served)
    tokens = {
        place: sum(one.restored_blocks.get(tier, 0) for one in served) * BLOCK_TOKENS
        for place, tier in _OF_TIERS.items()
    }
    tokens |= {OWN: cached - sum(tokens.values()), RECOMPUTED: known - cached}
    return {place: tokens[place] / known for place in PLACES}


def at_bound(points: Sequence[Point], engine: str, most_s: float) -> AtBound:
    """Between the last rate that keeps the bound and the first that does not, on the line of
    throughput over P95 TTFT. TiermemError where none keeps it."""
    curve = _curve(points, engine)
    kept: Point | None = None
    for one in curve:
        if one.ttft_s[95] <= most_s:
            kept = one
            continue
        if kept is None:
            break
        share = (most_s - kept.ttft_s[95]) / (one.ttft_s[95] - kept.ttft_s[95])
        grown = max(0.0, one.requests_per_s - kept.requests_per_s)
        return AtBound(kept.requests_per_s + share * grown, is_least=False)
    if kept is None:
        raise TiermemError(
            f"{engine}: P95 TTFT is above {most_s:.2f} s at the lowest rate ({curve[0].rate:.3g}/s)"
        )
    return AtBound(max(one.requests_per_s for one in curve), is_least=True)


def reference_rate(points: Sequence[Point], baseline: str, most_s: float) -> float:
    """The lowest rate at which the baseline does not keep the bound, else the highest."""
    curve = _curve(points, baseline)
    return next((one.rate for one in curve if one.ttft_s[95] > most_s), curve[-1].rate)


def at_rate(points: Sequence[Point], engine: str, rate: float) -> Point:
    """TiermemError where it was not measured."""
    for one in points:
        if (one.engine, one.rate) == (engine, rate):
            return one
    raise TiermemError(f"{engine}: was not measured at {rate:.3g} sessions/s")


def throughputs(points: Sequence[Point], baseline: str, ours: str, most_s: float) -> Throughputs:
    """TiermemError where one of the two never keeps the bound, and where the baseline always
    does."""
    mine, theirs = (at_bound(points, name, most_s) for name in (ours, baseline))
    if theirs.is_least:
        raise TiermemError(
            f"{baseline}: P95 TTFT keeps {most_s:.2f} s at the highest rate: no load was too much"
        )
    return Throughputs(mine.requests_per_s, theirs.requests_per_s)


def memory_figures(points: Sequence[Point], baseline: str, ours: str) -> dict[str, float]:
    """At the highest rate. TiermemError where hardly any request of ours waited for memory."""
    mine, theirs = (_curve(points, name)[-1] for name in (ours, baseline))
    if mine.memory_share is None or mine.full_time_share < _FULL_TIME_SHARE:
        raise TiermemError(
            f"{ours}: at the highest rate requests waited for memory for only "
            f"{mine.full_time_share:.0%} of the time"
        )
    found = {"kv_memory_use": mine.memory_share}
    return (
        found
        if theirs.memory_share is None
        else found | {"kv_memory_use_vllm": theirs.memory_share}
    )


def latency_figures(points: Sequence[Point], baseline: str, ours: str) -> dict[str, float]:
    """TTFT at the lowest rate that is too much for the baseline, SSD's share at the highest.
    TiermemError where one was not measured."""
    rate = reference_rate(points, baseline, BOUND_S)
    theirs, mine = at_rate(points, baseline, rate), at_rate(points, ours, rate)
    return {
        "ttft_p95_reduction": 1 - mine.ttft_s[95] / theirs.ttft_s[95],
        "ssd_hit_share": _curve(points, ours)[-1].places[SSD],
    }


def loss_when_it_fits(pairs: Sequence[tuple[Played, Played]]) -> float:
    """Of throughput, at the same work: (theirs, ours) of each round; the median over rounds."""
    return 1 - statistics.median(theirs.wall_s / mine.wall_s for theirs, mine in pairs)


def wrong_tokens(right: Mapping[str, Sequence[int]], said: Mapping[str, Sequence[int]]) -> int:
    """Tokens of answers that are not what they should be, or are missing."""
    return sum(
        sum(one != other for one, other in zip(answer, said.get(name, ()), strict=False))
        + abs(len(answer) - len(said.get(name, ())))
        for name, answer in right.items()
    )


def _curve(points: Sequence[Point], engine: str) -> list[Point]:
    found = sorted((one for one in points if one.engine == engine), key=lambda one: one.rate)
    if not found:
        raise TiermemError(f"{engine}: was not measured")
    return found


def _ttft_s(one: Answered, given_up_s: float) -> float:
    return (given_up_s if one.first_s is None else one.first_s) - one.due_s


def _tpot_s(one: Answered) -> float | None:
    if one.first_s is None or one.end_s is None or one.answer_tokens < 2:
        return None
    return (one.end_s - one.first_s) / (one.answer_tokens - 1)


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    return {one: float(np.percentile(values, one)) for one in PERCENTILES}
