"""What is read out of one answer of a vLLM server: sums since its start, and what is now.

Engines of one server (data parallel) are taken together. Metrics that this version of vLLM
does not have are None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.samples import Sample

from tiermem.serving.top.scrape import Scrape

EVENTS = "vllm:tiermem_kv_events"
CAPACITY = "vllm:tiermem_kv_capacity_bytes"
USED = "vllm:tiermem_kv_used_bytes"
TIERS = ("memory", "cxl", "pool", "ssd")


@dataclass(frozen=True)
class TierFigures:
    """A KV tier. events: sums by event, see serving/kv/counters; where: in words."""

    where: str
    capacity_bytes: int
    used_bytes: int
    events: dict[str, int]


@dataclass(frozen=True)
class Times:
    """A histogram: how many took at most so many seconds, by that bound, ascending; the last
    bound is infinity."""

    bounds_s: tuple[float, ...]
    counts: tuple[float, ...]
    sum_s: float


@dataclass(frozen=True)
class Figures:
    """One look at a server.

    prompt_tokens: by source (`local_compute`, `local_cache_hit`, `external_kv_transfer`).
    kv_use: the share of the engine's own KV memory that is in use.
    """

    at_s: float
    model: str
    has_tiers: bool
    tiers: dict[str, TierFigures]
    running: int | None
    waiting: int | None
    preempted: int | None
    kv_use: float | None
    prompt_tokens: dict[str, int]
    generated_tokens: int | None
    ttft: Times | None
    tpot: Times | None


def read_figures(seen: Scrape) -> Figures:
    """Of what the server said."""
    uses = [one.value for one in _samples(seen, "vllm:kv_cache_usage_perc")]
    return Figures(
        at_s=seen.at_s,
        model=next((one.labels.get("model_name", "") for one in _of_vllm(seen)), ""),
        has_tiers=EVENTS in seen.families,
        tiers=_tiers(seen),
        running=_sum(seen, "vllm:num_requests_running"),
        waiting=_sum(seen, "vllm:num_requests_waiting"),
        preempted=_sum(seen, "vllm:num_preemptions"),
        kv_use=sum(uses) / len(uses) if uses else None,
        prompt_tokens=_sums_by(seen, "vllm:prompt_tokens_by_source", "source"),
        generated_tokens=_sum(seen, "vllm:generation_tokens"),
        ttft=_times(seen, "vllm:time_to_first_token_seconds"),
        tpot=_times(seen, "vllm:request_time_per_output_token_seconds"),
    )


def _of_vllm(seen: Scrape) -> Iterator[Sample]:
    for name, family in seen.families.items():
        if name.startswith("vllm:"):
            yield from family.samples


def _samples(seen: Scrape, name: str) -> list[Sample]:
    """Values alone: not when a counter began, nor a histogram's parts."""
    family: Metric | None = seen.families.get(name)
    if family is None:
        return []
    return [one for one in family.samples if one.name in (name, f"{name}_total")]


def _sum(seen: Scrape, name: str) -> int | None:
    samples = _samples(seen, name)
    return int(sum(one.value for one in samples)) if samples else None


def _sums_by(seen: Scrape, name: str, label: str) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in _samples(seen, name):
        sums[one.labels[label]] += int(one.value)
    return dict(sums)


def _tiers(seen: Scrape) -> dict[str, TierFigures]:
    """Those that the server has told of, the fastest first."""
    capacities, used = _sums_by(seen, CAPACITY, "tier"), _sums_by(seen, USED, "tier")
    places = {one.labels["tier"]: one.labels["where"] for one in _samples(seen, CAPACITY)}
    events: dict[str, Counter[str]] = {}
    for one in _samples(seen, EVENTS):
        events.setdefault(one.labels["tier"], Counter())[one.labels["event"]] += int(one.value)
    return {
        tier: TierFigures(
            places[tier], capacities[tier], used.get(tier, 0), dict(events.get(tier, {}))
        )
        for tier in TIERS
        if tier in capacities
    }


def _times(seen: Scrape, name: str) -> Times | None:
    family = seen.families.get(name)
    if family is None:
        return None
    buckets: dict[float, float] = {}
    sum_s = 0.0
    for one in family.samples:
        if one.name == f"{name}_bucket":
            bound = float(one.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + one.value
        elif one.name == f"{name}_sum":
            sum_s += one.value
    bounds = tuple(sorted(buckets))
    return Times(bounds, tuple(buckets[bound] for bound in bounds), sum_s) if bounds else None
