"""What the channel's benchmark makes of what it measured."""

from __future__ import annotations

import os

import numpy as np
import pytest

from bench.channel import best, figures
from bench.channel_ladder import (
    BASE,
    OURS,
    RUNGS,
    Channel,
    Latency,
    Throughput,
    percentiles_us,
    two_cpus,
)


def throughput(rung: str, per_s: float, size: int = 16) -> Throughput:
    return Throughput(rung, size, int(per_s), 1.0, 0, 0)


def latency(load: float, p50_us: float, size: int = 16, per_s: float = 1e6) -> Latency:
    return Latency(size, load, per_s, per_s, 0, {50: p50_us, 90: 2 * p50_us, 99: 3 * p50_us})


def test_percentiles_are_the_upper_ends_of_their_buckets() -> None:
    counts = np.zeros(1000, dtype=np.uint64)
    counts[[4, 9, 99]] = [50, 40, 10]
    assert percentiles_us(counts, (50, 90, 99)) == {50: 0.05, 90: 0.1, 99: 1.0}


def test_rungs_are_compared_by_their_medians_and_latency_by_its_quietest_round() -> None:
    runs = [throughput(BASE, per_s) for per_s in (2e6, 3e6, 90e6)]
    runs += [throughput(OURS, per_s) for per_s in (1e6, 90e6, 96e6)]
    rounds = [latency(0.5, 0.9), latency(0.5, 0.6), latency(0.25, 0.1)]
    rounds += [latency(0.3, p50_us, per_s=14e6) for p50_us in (0.5, 0.4)]
    assert best(rounds, 0.5, 16).percentiles_us[50] == 0.6
    assert figures(runs, rounds) == {
        "channel_speedup_over_bypass": 30.0,
        "channel_messages_per_s": 90e6,
        "channel_half_load_p50_us": 0.6,
        "channel_14M_p50_us": 0.4,
    }


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.parametrize("size", [16, 64])
def test_every_rung_brings_the_messages_that_were_sent(size: int) -> None:
    channel = Channel(size, two_cpus())
    for rung in RUNGS:
        run = channel.throughput(rung, 0.01)
        assert (run.messages > 0, run.wrong) == (True, 0)
    assert channel.most_timed(0.01) > 0
    one = channel.latency(0.5, 1e5, 0.02)
    assert (one.per_s > 0, one.wrong) == (True, 0)
