"""PrefillOnly's benchmark: its workloads, its search, and how figures are made of runs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.prefill_only import Measured, figures
from bench.prefill_only_contenders import (
    ALL,
    CONTEXT_TOKENS,
    ONE_AT_A_TIME,
    OURS,
    VLLM_SETTINGS,
    WITHOUT_KV,
)
from bench.prefill_only_likeness import Likeness
from bench.prefill_only_search import Longest, search
from bench.prefill_only_tables import tables
from bench.prefill_only_workloads import (
    BusyClock,
    Compared,
    Served,
    Workload,
    highest,
    poisson,
    workloads,
)

RECOMMENDATION, CREDIT = workloads(quick=True)


def test_requests_of_a_user_share_the_profile() -> None:
    prompts = RECOMMENDATION.prompts()
    least, most = 11_000 // RECOMMENDATION.divided_by, 17_000 // RECOMMENDATION.divided_by
    shared = Counter(tuple(one[:least]) for one in prompts)
    assert set(shared.values()) == {RECOMMENDATION.requests_each}
    assert len(shared) == RECOMMENDATION.users
    assert prompts == RECOMMENDATION.prompts()
    own = 150 // RECOMMENDATION.divided_by
    assert all(least + own <= len(one) <= most + own for one in prompts)


def test_nothing_is_shared_where_users_ask_once() -> None:
    prompts = CREDIT.prompts()
    assert len({tuple(one[:32]) for one in prompts}) == len(prompts) == CREDIT.users


@pytest.mark.parametrize(
    "workload",
    [
        workload
        for quick in (True, False)
        for dtype in ("float32", "bfloat16")
        for workload in workloads(quick, dtype)  # type: ignore[arg-type]
    ],
)
def test_the_longest_request_fits_into_context_and_cache(workload: Workload) -> None:
    prompts = workload.prompts()
    longest = max(map(len, prompts))
    assert 0 <= workload.kv_tokens(prompts) - workload.kv_requests * (longest + 1) < 32 * 4
    assert longest < CONTEXT_TOKENS


def test_lengths_of_all_workloads_are_divided_by_one_number() -> None:
    for quick in (True, False):
        assert len({workload.divided_by for workload in workloads(quick)}) == 1


def test_arrivals_have_the_rate_and_one_pattern() -> None:
    slow, fast = poisson(20_000, 2.0), poisson(20_000, 8.0)
    assert slow[-1] == pytest.approx(10_000, rel=0.05)
    np.testing.assert_allclose(np.array(slow), 4 * np.array(fast))


def test_the_clock_skips_what_nobody_works_in() -> None:
    clock = BusyClock()
    clock.skip_to(100.0)
    assert 100 <= clock.now_s() < 101
    clock.skip_to(50.0)
    assert clock.now_s() >= 100


@given(st.integers(0, 12 << 20), st.integers(1000, 200_000), st.floats(0, 0.05))
def test_the_search_finds_the_longest(fixed: int, per_token: int, bend: float) -> None:
    """Within 5% or 8 tokens, of memory that rises with the length, about in a straight line."""
    limit = 16 << 20

    def peak(tokens: int) -> int:
        return int(fixed + per_token * tokens * (1 + bend * tokens / CONTEXT_TOKENS))

    found = search("engine", peak, limit)
    exact = max((n for n in range(CONTEXT_TOKENS + 1) if peak(n) <= limit), default=0)
    assert found.tokens <= exact
    assert exact - found.tokens <= max(8, 0.06 * exact)
    assert not found.tokens or found.peaks[found.tokens] <= limit


def test_the_search_ends_soon_where_the_line_is_straight() -> None:
    found = search("engine", lambda tokens: (7 << 20) + 7000 * tokens, 16 << 20)
    assert 0.95 * 1348 <= found.tokens <= 1348
    assert len(found.peaks) <= 5


@pytest.mark.parametrize(
    ("fine_to", "found"), [(0.4, 0.0), (0.7, 0.5), (1.0, 1.0), (1.9, 1.4), (9.0, 2.0)]
)
def test_the_highest_multiple_that_is_no_worse(fine_to: float, found: float) -> None:
    asked: list[float] = []

    def is_fine(multiple: float) -> bool:
        asked.append(multiple)
        return multiple <= fine_to

    assert highest((0.5, 0.8, 1.0, 1.4, 2.0), is_fine) == found
    assert len(asked) == len(set(asked))


def measured() -> Measured:
    lengths = dict(zip(ALL, (4000, 400, 500, 450, 1000), strict=True))
    inputs = [Longest(engine, tokens, 16 << 20) for engine, tokens in lengths.items()]
    runs = [
        Served("credit", engine, None, 10, wall_s, 1.0, 2.0, 0.5)
        for engine, wall_s in zip(
            (OURS, ONE_AT_A_TIME, *VLLM_SETTINGS), (5.0, 6.0, 15.0, 20.0), strict=True
        )
    ]
    best = next(iter(VLLM_SETTINGS))
    loads = [
        Compared(RECOMMENDATION, 64 << 20, 3000, 2000, runs, best, 2.0),
        Compared(CREDIT, 64 << 20, 3000, 2000, runs, best, 1.2),
    ]
    return Measured([], inputs, loads)


def test_ratios_are_to_the_best_of_the_plain_ones_and_the_worst_workload() -> None:
    alike = [Likeness("torch", 1, 0, 1e-6, False, True), Likeness("vllm", 1, 0, 1.0, False, True)]
    found = figures(Measured(alike, measured().inputs, measured().loads))
    assert found["prefillonly_input_ratio"] == 4000 / 500
    assert found["prefillonly_input_ratio_without_kv"] == 4.0
    assert found["prefillonly_qps_ratio"] == 1.2
    assert found["prefillonly_qps_ratio_recommendation"] == 2.0
    assert found["prefillonly_throughput_ratio_credit"] == 3.0
    assert found["prefillonly_together_ratio_credit"] == 1.2
    assert found["prefillonly_logit_difference"] == 1e-6
    assert WITHOUT_KV in ALL


def test_there_is_a_table_for_each_part_and_workload() -> None:
    assert len(tables(measured())) == 4
