"""A daemon's metrics carry its name and stay apart from any other's."""

from __future__ import annotations

from tiermem.service.metrics import Metrics


def test_names_carry_the_daemon_and_registries_are_separate() -> None:
    first, second = Metrics("m5"), Metrics("oasis")
    first.counter("moved_pages", "Pages moved.", ("result",)).labels("moved").inc(3)
    second.counter("moved_pages", "Pages moved.").inc(5)
    text, content_type = first.render()
    assert b'tiermem_m5_moved_pages_total{result="moved"} 3.0' in text
    assert b"oasis" not in text
    assert content_type.startswith("text/plain")


def test_a_gauge_goes_both_ways_and_a_histogram_counts() -> None:
    metrics = Metrics("m5")
    metrics.gauge("free_bytes", "Free.", ("node",)).labels("0").set(5)
    metrics.histogram("round_seconds", "A round.", buckets=(0.1, 1)).observe(0.5)
    text = metrics.render()[0].decode()
    assert 'tiermem_m5_free_bytes{node="0"} 5.0' in text
    assert 'tiermem_m5_round_seconds_bucket{le="0.1"} 0.0' in text
    assert 'tiermem_m5_round_seconds_bucket{le="1.0"} 1.0' in text
