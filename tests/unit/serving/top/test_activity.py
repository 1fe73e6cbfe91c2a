"""What is read from a server's metrics, and what happened between two looks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.top import activity, metrics_url, read_figures, scrape
from tiermem.serving.top.activity import quantile_s
from tiermem.serving.top.figures import Figures, Times

from tests.unit.serving.top.metrics_server import BLOCK_BYTES, Served, serving


def look(port: int) -> Figures:
    return read_figures(scrape(metrics_url(f"localhost:{port}")))


def test_a_turn_that_came_back() -> None:
    served = Served()
    with serving(served) as port:
        before = look(port)
        served.works()
        now = look(port)
    assert before.has_tiers
    assert before.tiers == {}
    seen = activity(now, before)
    assert seen.interval_s is not None
    assert list(seen.tiers) == ["memory", "ssd"]
    memory, ssd = seen.tiers.values()
    assert (memory.where, memory.capacity_bytes, memory.used_bytes) == (
        *("tier 0", 8 * BLOCK_BYTES, 6 * BLOCK_BYTES),
    )
    # Of ten blocks that were looked for.
    assert (memory.hit_share, ssd.hit_share) == (0.6, 0.2)
    assert memory.hits_per_s == pytest.approx(6 / seen.interval_s)
    assert ssd.out_Bps == pytest.approx(2 * BLOCK_BYTES / seen.interval_s)
    assert (memory.corrupted, ssd.corrupted) == (0, 1)
    assert (seen.blocks.restored, seen.blocks.recomputed, seen.blocks.missed) == (8, 1, 1)
    assert (seen.tokens.restored, seen.tokens.cached, seen.tokens.computed) == (256, 32, 64)
    assert seen.engine.generated_per_s == pytest.approx(50 / seen.interval_s)
    assert seen.recent_ttft is not None
    assert seen.recent_ttft.requests == 1
    assert seen.recent_ttft.mean_s == pytest.approx(0.15)
    assert seen.recent_tpot is not None
    assert (seen.recent_tpot.requests, seen.recent_tpot.p95_s) == (0, None)


def test_rates_are_of_the_interval_and_sums_are_not() -> None:
    served = Served()
    served.works()
    with serving(served) as port:
        first = look(port)
        alone = activity(first)
        quiet = activity(look(port), first)
    assert alone.interval_s is None
    assert alone.tiers["memory"].hits_per_s is None
    assert quiet.tiers["memory"].hits == 6
    assert quiet.tiers["memory"].hits_per_s == 0
    assert quiet.ttft is not None
    assert quiet.ttft.requests == 1
    assert quiet.recent_ttft is not None
    assert quiet.recent_ttft.requests == 0


def test_a_server_that_was_started_again_counts_anew() -> None:
    served = Served()
    served.works()
    served.works()
    with serving(served) as port:
        before = look(port)
    again = Served()
    again.works()
    with serving(again) as port:
        seen = activity(look(port), before)
    assert seen.interval_s is None
    assert seen.tiers["memory"].hits_per_s is None
    assert seen.tokens.restored == 256


def test_a_server_without_tiers_or_with_fewer_metrics_is_shown_all_the_same() -> None:
    served = Served(has_tiers=False)
    served.registry.unregister(served._made["time_to_first_token_seconds"])
    served.registry.unregister(served._made["num_preemptions"])
    with serving(served) as port:
        seen = activity(look(port))
    assert not seen.has_tiers
    assert seen.ttft is None
    assert seen.engine.preempted is None
    assert seen.engine.running == 0


@given(st.lists(st.floats(0, 9.99), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_within_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    bounds = (*range(1, 11), math.inf)
    counts = tuple(float(sum(value <= bound for value in values)) for bound in bounds)
    found = quantile_s(Times(bounds, counts, sum(values)), share)
    true = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    assert found is not None
    assert math.ceil(true) - 1 <= found <= max(1, math.ceil(true))


def test_quantiles_without_requests_and_beyond_the_last_bound() -> None:
    assert quantile_s(Times((1.0, math.inf), (0, 0), 0), 0.5) is None
    assert quantile_s(Times((1.0, math.inf), (0, 3), 30), 0.5) == 1.0
