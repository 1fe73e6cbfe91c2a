"""FlashGen's order in vLLM's engine: who runs when, in how much memory, to which tokens."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

import pytest
from tiermem.errors import ConfigError

from tests.serving.schedulers.asked import ask_long_among_short, ask_mixed
from tests.serving.schedulers.engines import USABLE_BLOCKS, Seen, asked, engine, scheduler_of

CLASS = "tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler"


@pytest.fixture(scope="module")
def flashgen(theirs: dict[str, Seen]) -> Iterator[Any]:
    """The engine; made after the other is gone, since each takes memory for a model."""
    with engine(CLASS) as made:
        yield made


@pytest.fixture(scope="module")
def ours(flashgen: Any) -> dict[str, Seen]:
    return {ask.__name__: asked(flashgen, ask) for ask in (ask_long_among_short, ask_mixed)}


def test_tokens_are_those_of_vllms_own_scheduler(
    ours: dict[str, Seen], theirs: dict[str, Seen]
) -> None:
    for name, mine in ours.items():
        assert mine.tokens == theirs[name].tokens
        assert all(mine.tokens.values())
    assert [len(seen.tokens) for seen in ours.values()] == [4, 8]


def test_short_ones_pass_the_long_one_which_runs_as_soon_as_the_first_is_done(
    ours: dict[str, Seen], theirs: dict[str, Seen]
) -> None:
    mine, other = ours["ask_long_among_short"], theirs["ask_long_among_short"]
    assert mine.running[0] == ["first", "short1", "short2"]
    assert other.running[0] == ["first"]
    assert mine.first_step("long") == other.first_step("long") == 12
    assert set(mine.running[12]).isdisjoint({"short2"})
    assert mine.running[-1] != ["long"]


def test_what_was_done(ours: dict[str, Seen], flashgen: Any) -> None:
    counts = scheduler_of(flashgen).flashgen_counts
    assert counts.promoted >= 2
    assert counts.preempted >= 1
    assert counts.deferred_steps >= 11


def test_memory_is_fuller_while_somebody_is_deferred_and_never_exceeded(
    ours: dict[str, Seen], theirs: dict[str, Seen]
) -> None:
    mine, other = ours["ask_long_among_short"], theirs["ask_long_among_short"]
    assert mean(mine.held_blocks[:12]) >= mean(other.held_blocks[:12]) + 4
    for seen in ours.values():
        assert max(seen.held_blocks) <= USABLE_BLOCKS


def test_all_memory_is_free_in_the_end(ours: dict[str, Seen], flashgen: Any) -> None:
    scheduler = scheduler_of(flashgen)
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == USABLE_BLOCKS
    assert not scheduler.requests


def test_the_oldest_that_is_not_done_always_runs(ours: dict[str, Seen]) -> None:
    for seen in ours.values():
        for step, keys in enumerate(seen.running):
            left = [key for key in seen.arrived if seen.last_step(key) >= step]
            assert left[0] in keys


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scheduling_policy": "priority"}, "--scheduling-policy: priority"),
        ({"watermark": 0.1}, "--watermark: 0.1"),
    ],
)
def test_what_goes_against_its_order_is_refused(options: dict[str, Any], words: str) -> None:
    with (
        pytest.raises(ConfigError, match=words),
        engine(CLASS, load_format="dummy", **options),
    ):
        pass
