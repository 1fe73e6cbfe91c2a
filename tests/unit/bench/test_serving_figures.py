"""What bench.serving makes of what engines did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiermem.errors import TiermemError

from bench import serving_figures as figures
from bench import serving_tables
from bench.serving_configurations import ALL, NAMES, VLLM, Size, engines
from bench.serving_figures import BELOW, MEMORY, OWN, RECOMPUTED, SSD, Point
from bench.serving_play import Answered, Played
from bench.serving_watch import MemoryUse


def request(due_s: float, ttft_s: float | None, **more: object) -> Answered:
    first_s = None if ttft_s is None else due_s + ttft_s
    end_s = None if first_s is None else first_s + 0.9
    given = {"prompt_tokens": 100, "known_tokens": 64, "cached_tokens": 32, "answer_tokens": 10}
    return Answered(due_s, first_s, end_s, **{**given, **more})  # type: ignore[arg-type]


def played(engine: str, requests: Sequence[Answered], **more: object) -> Played:
    use = MemoryUse(0.99, 5.0, 0.8, 4.0)
    one = Played(engine, 1.0, 10.0, 20.0, 35.0, (20.0, 30.0), requests, use, 1000, 0, {})
    return replace(one, **more)  # type: ignore[arg-type]


def point(engine: str, rate: float, per_s: float, p95_s: float) -> Point:
    ttft_s = {50: p95_s / 2, 95: p95_s, 99: 2 * p95_s}
    tpot_s = dict.fromkeys(ttft_s, 0.05)
    places = {OWN: 0.25, MEMORY: 0.25, BELOW: 0.0, SSD: 0.25, RECOMPUTED: 0.25}
    return Point(engine, rate, 50, 0, per_s, 40 * per_s, ttft_s, tpot_s, places, 100, None, 0.5, 0)


CURVES = [
    point(VLLM, 0.1, 1.0, 1.0),
    point(VLLM, 0.2, 2.0, 1.5),
    point(VLLM, 0.4, 2.5, 10.0),
    point(ALL, 0.1, 1.0, 0.4),
    point(ALL, 0.2, 2.0, 0.5),
    point(ALL, 0.4, 4.0, 1.5),
]


def test_throughput_is_of_answers_that_ended_in_the_window_and_latency_of_all_that_came() -> None:
    found = figures.point_of(
        played(
            ALL,
            [
                *(request(12, 1.0), request(25, 1.0), request(28, 4.0), request(29, None)),
                # Asked for before the window, of which one ends within it.
                *(request(1, 1.0), request(3, 10.0)),
            ],
        )
    )
    assert (found.requests, found.unanswered) == (4, 1)
    assert found.requests_per_s == 3 / 20
    assert found.tokens_per_s == 30 / 20
    # The one without an answer had waited from 29 to 35.
    assert found.ttft_s[99] == pytest.approx(6.0, rel=0.05)
    assert found.tpot_s[50] == pytest.approx(0.1)


def test_no_request_is_an_error() -> None:
    with pytest.raises(TiermemError, match="no request came"):
        figures.point_of(played(ALL, []))


def test_histories_come_from_five_places() -> None:
    """Of requests that came in the window and were answered, whatever else the tiers did."""
    sources = {"memory": 3, "cxl": 1, "ssd": 1}
    requests = [
        request(12, 1.0, known_tokens=320, cached_tokens=256, restored_blocks=sources),
        request(13, None, restored_blocks={"memory": 9}),
    ]
    found = figures.hit_places(played(ALL, requests, tiers={"memory hits": 90, "ssd hits": 50}))
    assert found == {
        OWN: 96 / 320,
        MEMORY: 96 / 320,
        BELOW: 32 / 320,
        SSD: 32 / 320,
        RECOMPUTED: 64 / 320,
    }
    assert sum(found.values()) == pytest.approx(1)


def test_a_first_turn_has_no_history() -> None:
    found = figures.hit_places(played(ALL, [request(12, 1.0, known_tokens=0, cached_tokens=0)]))
    assert set(found.values()) == {0.0}


def test_throughput_at_the_bound_lies_on_the_curve() -> None:
    theirs = figures.at_bound(CURVES, VLLM, 2.0)
    assert theirs.requests_per_s == pytest.approx(2.0 + 0.5 * 0.5 / 8.5)
    assert not theirs.is_least
    ours = figures.at_bound(CURVES, ALL, 2.0)
    assert (ours.requests_per_s, ours.is_least) == (4.0, True)


def test_a_configuration_that_never_keeps_the_bound_has_no_figure() -> None:
    with pytest.raises(TiermemError, match=r"above 0\.30 s at the lowest rate"):
        figures.at_bound(CURVES, ALL, 0.3)
    with pytest.raises(TiermemError, match="was not measured"):
        figures.at_bound(CURVES, "another", 0.3)


def test_latency_is_compared_where_the_baseline_no_longer_keeps_the_bound() -> None:
    found = figures.latency_figures(CURVES, VLLM, ALL)
    assert figures.reference_rate(CURVES, VLLM, 2.0) == 0.4
    assert found["ttft_p95_reduction"] == pytest.approx(1 - 1.5 / 10)
    over = figures.throughputs(CURVES, VLLM, ALL, 2.0).ratio
    assert over == pytest.approx(4.0 / (2.0 + 0.5 * 0.5 / 8.5))
    assert found["ssd_hit_share"] == 0.25


def test_loads_that_are_not_too_much_for_the_baseline_say_nothing() -> None:
    with pytest.raises(TiermemError, match=r"vLLM: .* no load was too much"):
        figures.throughputs(CURVES, VLLM, ALL, 20.0)


def test_memory_is_looked_at_under_the_highest_load() -> None:
    with pytest.raises(TiermemError, match="waited for memory for only 50%"):
        figures.memory_figures(CURVES, VLLM, ALL)
    seldom = [replace(one, memory_share=0.9, full_time_share=0.02) for one in CURVES]
    with pytest.raises(TiermemError, match="waited for memory for only 2%"):
        figures.memory_figures(seldom, VLLM, ALL)
    full = [replace(one, memory_share=0.9 + one.rate / 10) for one in CURVES]
    found = figures.memory_figures(full, VLLM, ALL)
    assert found == pytest.approx({"kv_memory_use": 0.94, "kv_memory_use_vllm": 0.94})


def test_loss_is_a_median_over_rounds_in_which_both_meet_the_same_machine() -> None:
    """It was five times slower in the second."""
    pairs = [
        (played(VLLM, [], wall_s=10 * slow), played(ALL, [], wall_s=10.1 * slow * odd))
        for slow, odd in ((1, 1), (5, 1), (1, 2))
    ]
    assert figures.loss_when_it_fits(pairs) == pytest.approx(1 - 1 / 1.01)


def test_wrong_tokens_are_counted_missing_ones_too() -> None:
    right = {"1.0": [1, 2, 3], "2.0": [4, 5]}
    assert figures.wrong_tokens(right, dict(right)) == 0
    assert figures.wrong_tokens(right, {"1.0": [1, 9, 3], "2.0": [4]}) == 2
    assert figures.wrong_tokens(right, {"1.0": [1, 2, 3]}) == 2


def test_configurations_differ_in_what_they_are_called_after(tmp_path: Path) -> None:
    size = Size("bfloat16", 4096, 4096, 100, 200, 1000)
    made = engines(size, tmp_path)
    assert tuple(made) == NAMES
    same = {(one.dtype, one.context_tokens, one.kv_tokens) for one in made.values()}
    assert same == {("bfloat16", 4096, 4096)}
    paths = [one.tiers["ssd"]["path"] for one in made.values() if one.tiers and "ssd" in one.tiers]
    assert len(set(paths)) == len(paths) == 3


def test_tables_have_all_that_was_measured() -> None:
    curves = serving_tables.curves(CURVES, "a trace")
    assert curves.row_count == len(CURVES)
    assert "a trace" in str(curves.title)
    assert "emulated" in str(curves.caption)
    assert serving_tables.bounds(CURVES, (VLLM, ALL)).row_count == 2
