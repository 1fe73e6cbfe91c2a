"""PrefillOnly's order in vLLM's engine, by the example of two prefixes of which one fits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tiermem.errors import ConfigError

from tests.serving.schedulers.asked import PREFIX_TOKENS, ask_two_prefixes
from tests.serving.schedulers.engines import (
    Seen,
    add,
    asked,
    engine,
    prompt,
    run,
    scheduler_of,
)

CLASS = "tiermem.serving.schedulers.vllm_prefill_only.PrefillOnlyScheduler"


@pytest.fixture(scope="module")
def theirs(theirs: dict[str, Seen]) -> Seen:
    """Of vLLM's own scheduler, in whose memory only one fits at a time as well."""
    return theirs["ask_two_prefixes"]


@pytest.fixture(scope="module")
def prefill_only(theirs: Seen) -> Iterator[Any]:
    with engine(CLASS) as made:
        yield made


@pytest.fixture(scope="module")
def ours(prefill_only: Any) -> Seen:
    return asked(prefill_only, ask_two_prefixes)


def hits(seen: Seen) -> list[str]:
    return [key for key in seen.tokens if seen.cached[key] >= PREFIX_TOKENS]


def test_who_shares_the_prefix_that_is_there_runs_next(ours: Seen, theirs: Seen) -> None:
    assert list(theirs.tokens) == ["A", "B", "C", "D"]
    assert list(ours.tokens) == ["A", "D", "B", "C"]
    assert hits(theirs) == ["C"]
    assert hits(ours) == ["D", "C"]


def test_tokens_are_those_of_vllms_own_scheduler(ours: Seen, theirs: Seen) -> None:
    assert ours.tokens == theirs.tokens


def test_requests_run_alone_even_where_more_would_fit(prefill_only: Any, ours: Seen) -> None:
    for number in range(4):
        add(prefill_only, f"small{number}", prompt(20 + number, 10), 2)
    seen = run(prefill_only)
    assert {len(keys) for keys in seen.running} == {1}
    assert len(seen.tokens) == 4


def test_how_long_prefills_take_is_learnt_of_those_that_ran(prefill_only: Any, ours: Seen) -> None:
    time = scheduler_of(prefill_only).prefill_time
    assert time.measured_count >= 4
    assert time.seconds(400) > time.seconds(48, PREFIX_TOKENS) > 0


def test_a_wrong_option_is_named() -> None:
    wrong = {"tiermem": {"prefill_only_sched": {"fairness": 0}}}
    with (
        pytest.raises(ConfigError, match=r"tiermem\.prefill_only_sched: fairness"),
        engine(CLASS, additional_config=wrong, load_format="dummy"),
    ):
        pass
