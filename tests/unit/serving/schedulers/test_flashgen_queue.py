"""FlashGen's policy over time, against first come, first served, on a server that batches."""

from __future__ import annotations

from functools import partial
from statistics import mean

from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.schedulers.flashgen import Limits, plan

from tests.unit.serving.schedulers.batch_queue import Asked, Decide, Served, first_come, serve

MEMORY_BLOCKS = 24


def flashgen(headroom_blocks: int = 0) -> Decide:
    return partial(plan, limits=Limits(headroom_blocks))


def long_among_short() -> list[Asked]:
    """A conversation that takes most of memory, every tenth, among short questions."""
    return [
        Asked(f"{number:02}", number // 2, 72 if number % 10 == 3 else 10, 12)
        for number in range(60)
    ]


def waits(asked: list[Asked], served: Served) -> list[int]:
    return [served.done_at[one.key] - one.at_step for one in asked]


def test_memory_is_fuller_and_all_is_done_earlier_than_first_come_first_served() -> None:
    asked = long_among_short()
    ours = serve(asked, MEMORY_BLOCKS, 16, flashgen())
    theirs = serve(asked, MEMORY_BLOCKS, 16, first_come)
    busy = min(len(ours.held), len(theirs.held))
    assert mean(ours.held[:busy]) > 1.1 * mean(theirs.held[:busy])
    assert mean(waits(asked, ours)) < 0.9 * mean(waits(asked, theirs))
    assert len(ours.held) <= len(theirs.held)


def test_a_long_one_is_not_passed_for_ever_by_a_stream_of_short_ones() -> None:
    """With first fit alone, which lets pass and takes nothing back, it would come last."""
    stream = [Asked(f"s{number:03}", number // 3, 18, 9) for number in range(150)]
    long = Asked("long", 1, 88, 4)
    ours = serve([*stream, long], MEMORY_BLOCKS, 16, flashgen())
    older = [one for one in stream if one.order < long.order]
    assert ours.done_at["long"] <= max(ours.done_at[one.key] for one in older) + 4
    assert ours.preempted
    assert max(ours.done_at.values()) > 3 * ours.done_at["long"]


@st.composite
def arrivals(draw: st.DrawFn) -> list[Asked]:
    count = draw(st.integers(1, 14))
    sizes = st.tuples(st.integers(0, 20), st.integers(1, 70), st.integers(1, 26))
    return [Asked(f"{number:02}", *draw(sizes)) for number in range(count)]


@given(arrivals(), st.integers(1, 6), st.integers(0, 3))
def test_nobody_starves_and_memory_is_never_exceeded(
    asked: list[Asked], places: int, headroom_blocks: int
) -> None:
    """The oldest that is not done makes a token in every step: each is done at the latest when
    it and all older ones have been served one by one. (`serve` asserts the memory.)"""
    served = serve(asked, MEMORY_BLOCKS, places, flashgen(headroom_blocks))
    ordered = sorted(asked, key=lambda one: one.order)
    done_one_by_one = 0
    for one in ordered:
        done_one_by_one = max(done_one_by_one, one.at_step) + one.output_tokens
        assert served.done_at[one.key] < done_one_by_one


@given(arrivals())
def test_where_all_fit_at_once_it_is_first_come_first_served(asked: list[Asked]) -> None:
    memory = sum(one.most_blocks for one in asked)
    assert serve(asked, memory, len(asked), flashgen()) == serve(
        asked, memory, len(asked), first_come
    )
