"""FlashGen's order in vLLM's engine: who runs when, in how much memory, to which tokens."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import mean
from typing import Any

import pytest

from tests.serving.schedulers.engines import (
    BLOCK_TOKENS,
    USABLE_BLOCKS,
    Seen,
    add,
    engine,
    prompt,
    run,
    scheduler_of,
)

CLASS = "tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler"


def ask_long_among_short(engine: Any) -> None:
    """`long` does not fit beside `first`, whom two short ones could join, and do."""
    add(engine, "first", prompt(1, 200), 12)
    add(engine, "long", prompt(2, 400), 2)
    add(engine, "short1", prompt(3, 60), 16)
    add(engine, "short2", prompt(4, 60), 16)


def ask_mixed(engine: Any) -> None:
    """Of many lengths, half of them with a prefix in common, together far more than fits."""
    random, common = Random(5), prompt(9, 2 * BLOCK_TOKENS)
    for number in range(8):
        own = prompt(10 + number, random.choice([20, 70, 150, 330]))
        add(engine, f"m{number}", common + own if number % 2 else own, random.randint(2, 8))


def both(engine: Any) -> tuple[Seen, Seen]:
    """What comes of the two."""
    ask_long_among_short(engine)
    first = run(engine)
    assert engine.reset_prefix_cache()
    ask_mixed(engine)
    return first, run(engine)


@pytest.fixture(scope="module")
def theirs() -> tuple[Seen, Seen]:
    """Of vLLM's own scheduler."""
    with engine() as made:
        return both(made)


@pytest.fixture(scope="module")
def flashgen(theirs: tuple[Seen, Seen]) -> Iterator[Any]:
    """The engine; made after the other is gone, since each takes memory for a model."""
    with engine(CLASS) as made:
        yield made


@pytest.fixture(scope="module")
def ours(flashgen: Any) -> tuple[Seen, Seen]:
    return both(flashgen)


def test_tokens_are_those_of_vllms_own_scheduler(
    ours: tuple[Seen, Seen], theirs: tuple[Seen, Seen]
) -> None:
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.tokens == other.tokens
        assert all(mine.tokens.values())
    assert len(ours[0].tokens) == 4
    assert len(ours[1].tokens) == 8


def test_short_ones_pass_the_long_one_which_runs_as_soon_as_the_first_is_done(
    ours: tuple[Seen, Seen], theirs: tuple[Seen, Seen]
) -> None:
    mine, other = ours[0], theirs[0]
    assert mine.running[0] == ["first", "short1", "short2"]
    assert other.running[0] == ["first"]
    assert mine.first_step("long") == other.first_step("long") == 12
    assert set(mine.running[12]).isdisjoint({"short2"})
    assert mine.running[-1] != ["long"]


def test_what_was_done(ours: tuple[Seen, Seen], flashgen: Any) -> None:
    counts = scheduler_of(flashgen).flashgen_counts
    assert counts.promoted >= 2
    assert counts.preempted >= 1
    assert counts.deferred_steps >= 11


def test_memory_is_fuller_while_somebody_is_deferred_and_never_exceeded(
    ours: tuple[Seen, Seen], theirs: tuple[Seen, Seen]
) -> None:
    assert mean(ours[0].held_blocks[:12]) >= mean(theirs[0].held_blocks[:12]) + 4
    for seen in ours:
        assert max(seen.held_blocks) <= USABLE_BLOCKS


def test_all_memory_is_free_in_the_end(ours: tuple[Seen, Seen], flashgen: Any) -> None:
    scheduler = scheduler_of(flashgen)
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == USABLE_BLOCKS
    assert not scheduler.requests


def test_the_oldest_that_is_not_done_always_runs(ours: tuple[Seen, Seen]) -> None:
    for seen in ours:
        for step, keys in enumerate(seen.running):
            left = [key for key in seen.arrived if seen.last_step(key) >= step]
            assert left[0] in keys
