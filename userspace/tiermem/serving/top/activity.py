"""What a vLLM server and its KV tiers did between two looks at it.

A server that was started again in between has begun to count anew: then all of its counts
happened since.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from tiermem.serving.top.figures import Figures, TierFigures, Times


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class TierActivity(_Shown):
    """A tier. hits: blocks that were found in it; hit_share: of all blocks that were looked for
    in the tiers; None where nothing was. Rates are None where there was but one look."""

    where: str
    capacity_bytes: int
    used_bytes: int
    hits: int
    hit_share: float | None
    stored: int
    evicted: int
    corrupted: int
    hits_per_s: float | None
    in_Bps: float | None  # noqa: N815
    out_Bps: float | None  # noqa: N815


class Tokens(_Shown):
    """Of prompts, by where their KV came from; all since the server's start, then a second.

    restored: from the tiers; cached: still in the engine; computed: neither.
    """

    restored: int
    cached: int
    computed: int
    restored_per_s: float | None
    cached_per_s: float | None
    computed_per_s: float | None


class Blocks(_Shown):
    """Since the server's start: copied back to the engine; found, but left to be computed since
    that was faster; looked for, and in no tier."""

    restored: int
    recomputed: int
    missed: int


class Latency(_Shown):
    """Of the requests in that time; None where there were none."""

    requests: int
    mean_s: float | None
    p50_s: float | None
    p95_s: float | None


class Engine(_Shown):
    """The engine itself, now; preempted: requests since its start."""

    running: int | None
    waiting: int | None
    preempted: int | None
    kv_use: float | None
    generated_per_s: float | None


class Activity(_Shown):
    """All of it. interval_s: None where there was but one look; ttft and tpot: since the
    server's start; the recent ones: in the interval."""

    model: str
    interval_s: float | None
    has_tiers: bool
    tiers: dict[str, TierActivity]
    tokens: Tokens
    blocks: Blocks
    engine: Engine
    ttft: Latency | None
    tpot: Latency | None
    recent_ttft: Latency | None
    recent_tpot: Latency | None


def activity(now: Figures, before: Figures | None = None) -> Activity:
    """From one look to the next; without the first: since the server's start."""
    if before is not None and _was_restarted(now, before):
        before = None
    interval_s = now.at_s - before.at_s if before else None
    return Activity(
        model=now.model,
        interval_s=interval_s,
        has_tiers=now.has_tiers,
        tiers={name: _tier(name, now, before, interval_s) for name in now.tiers},
        tokens=_tokens(now, before, interval_s),
        blocks=Blocks(
            restored=_all(now, "restored"),
            recomputed=_all(now, "recomputed"),
            missed=_all(now, "misses"),
        ),
        engine=Engine(
            running=now.running,
            waiting=now.waiting,
            preempted=now.preempted,
            kv_use=now.kv_use,
            generated_per_s=_rate(
                now.generated_tokens or 0, before.generated_tokens if before else None, interval_s
            ),
        ),
        ttft=_latency(now.ttft, None),
        tpot=_latency(now.tpot, None),
        recent_ttft=_latency(now.ttft, before.ttft) if before else None,
        recent_tpot=_latency(now.tpot, before.tpot) if before else None,
    )


def quantile_s(times: Times, share: float) -> float | None:
    """By linear interpolation in the histogram's buckets, as Prometheus' histogram_quantile does;
    in the last, open one its lower bound."""
    total = times.counts[-1]
    if not total:
        return None
    wanted, low_s, below = share * total, 0.0, 0.0
    for bound_s, count in zip(times.bounds_s, times.counts, strict=True):
        if count >= wanted and count > below:
            if bound_s == float("inf"):
                return low_s
            return low_s + (bound_s - low_s) * (wanted - below) / (count - below)
        low_s, below = bound_s, count
    return low_s


def _was_restarted(now: Figures, before: Figures) -> bool:
    def counts(one: Figures) -> Mapping[str, int]:
        return {**one.prompt_tokens, "generated": one.generated_tokens or 0}

    old = counts(before)
    return any(count < old.get(name, 0) for name, count in counts(now).items())


def _tier(
    name: str, now: Figures, before: Figures | None, interval_s: float | None
) -> TierActivity:
    tier = now.tiers[name]
    old: TierFigures | None = before.tiers.get(name) if before else None
    hits = tier.events.get("hits", 0)
    asked = _all(now, "hits") + _all(now, "recomputed") + _all(now, "misses")

    def rate(event: str) -> float | None:
        return _rate(
            tier.events.get(event, 0), old.events.get(event, 0) if old else None, interval_s
        )

    return TierActivity(
        where=tier.where,
        capacity_bytes=tier.capacity_bytes,
        used_bytes=tier.used_bytes,
        hits=hits,
        hit_share=hits / asked if asked else None,
        stored=tier.events.get("stored", 0),
        evicted=tier.events.get("evicted", 0),
        corrupted=tier.events.get("corrupted", 0),
        hits_per_s=rate("hits"),
        in_Bps=rate("bytes_in"),
        out_Bps=rate("bytes_out"),
    )


def _tokens(now: Figures, before: Figures | None, interval_s: float | None) -> Tokens:
    names = {
        "restored": "external_kv_transfer",
        "cached": "local_cache_hit",
        "computed": "local_compute",
    }
    sums = {name: now.prompt_tokens.get(source, 0) for name, source in names.items()}
    rates = {
        f"{name}_per_s": _rate(
            sums[name], before.prompt_tokens.get(source, 0) if before else None, interval_s
        )
        for name, source in names.items()
    }
    return Tokens.model_validate({**sums, **rates})


def _all(now: Figures, event: str) -> int:
    return sum(tier.events.get(event, 0) for tier in now.tiers.values())


def _rate(count: int, before: int | None, interval_s: float | None) -> float | None:
    if not interval_s:
        return None
    return (count - (before or 0)) / interval_s


def _latency(now: Times | None, before: Times | None) -> Latency | None:
    if now is None:
        return None
    if before is not None and before.bounds_s == now.bounds_s:
        counts = tuple(a - b for a, b in zip(now.counts, before.counts, strict=True))
        now = Times(now.bounds_s, counts, now.sum_s - before.sum_s)
    requests = int(now.counts[-1])
    return Latency(
        requests=requests,
        mean_s=now.sum_s / requests if requests else None,
        p50_s=quantile_s(now, 0.5),
        p95_s=quantile_s(now, 0.95),
    )
