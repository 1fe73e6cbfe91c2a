"""What FlashGen's policy decides in one step, and against a search of all that it could."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.schedulers.flashgen import Limits, Plan, Running, Waiting, plan


def old(key: str, blocks: int = 0, soon: int = 0) -> Running:
    """One that came before all that wait."""
    return Running(key, (0, key), frozenset(range(1000, 1000 + blocks)), soon)


def test_as_long_as_all_fit_it_is_first_come_first_served() -> None:
    waiting = [Waiting("a", (1, ""), 3), Waiting("b", (2, ""), 4)]
    assert plan(7, 8, [old("o")], waiting) == Plan(admit=("a", "b"))


def test_younger_ones_that_fit_pass_one_that_does_not() -> None:
    waiting = [
        Waiting("long", (1, ""), 10),
        Waiting("short", (2, ""), 3),
        Waiting("long too", (3, ""), 9),
        Waiting("tiny", (4, ""), 2),
    ]
    made = plan(5, 8, [old("o", 8)], waiting)
    assert made == Plan(admit=("short", "tiny"), promoted=("short", "tiny"), deferred="long")


def test_promoted_ones_go_as_soon_as_their_memory_is_enough() -> None:
    promoted = Running("p", (2, ""), frozenset({1, 2, 3}))
    head = Waiting("long", (1, ""), 10)
    assert plan(6, 8, [promoted], [head]) == Plan(deferred="long")
    assert plan(7, 8, [promoted], [head]) == Plan(preempt=("p",), admit=("long",))


def test_of_promoted_ones_only_as_many_go_as_must_the_youngest_first() -> None:
    running = [Running(key, (10 + n, ""), frozenset({n})) for n, key in enumerate("pqrs")]
    made = plan(8, 4, running, [Waiting("long", (1, ""), 10)])
    assert made == Plan(preempt=("s", "r"), admit=("long",))


def test_who_runs_and_is_older_is_never_preempted() -> None:
    made = plan(1, 8, [old("o", 50)], [Waiting("long", (1, ""), 10)])
    assert made == Plan(deferred="long")


def test_a_block_that_an_older_one_shares_is_not_to_be_had() -> None:
    """The caller leaves it out of `blocks`; two promoted ones that share it free it together."""
    running = [Running("p", (2, ""), frozenset({1, 2})), Running("q", (3, ""), frozenset({2, 3}))]
    assert plan(0, 8, running, [Waiting("w", (1, ""), 2)]).preempt == ("q", "p")
    assert plan(0, 8, running, [Waiting("w", (1, ""), 3)]).preempt == ("q", "p")
    assert plan(0, 8, running, [Waiting("w", (1, ""), 4)]).deferred == "w"


def test_blocks_that_the_deferred_one_shares_itself_free_nothing_for_it() -> None:
    running = [Running("p", (2, ""), frozenset({1, 2, 3}))]
    head = Waiting("w", (1, ""), 2, shared=frozenset({1, 2}))
    assert plan(0, 8, running, [head]) == Plan(deferred="w")
    assert plan(1, 8, running, [head]) == Plan(preempt=("p",), admit=("w",))


def test_a_place_is_made_as_memory_is() -> None:
    running = [Running("p", (2, ""), frozenset({1})), Running("q", (3, ""), frozenset({2}))]
    assert plan(9, 0, running, [Waiting("w", (1, ""), 2)]) == Plan(preempt=("q",), admit=("w",))


def test_memory_that_those_who_run_are_about_to_take_is_not_given_away() -> None:
    waiting = [Waiting("w", (1, ""), 3)]
    assert plan(5, 8, [old("o", 4, soon=2)], waiting).admit == ("w",)
    assert plan(5, 8, [old("o", 4, soon=3)], waiting).deferred == "w"


def test_promoted_ones_leave_the_headroom_free_and_the_oldest_does_not() -> None:
    fits = Waiting("w", (1, ""), 5)
    assert plan(5, 8, [old("o")], [fits], Limits(2)).admit == ("w",)
    behind = [Waiting("long", (1, ""), 10), Waiting("w", (2, ""), 4)]
    assert plan(5, 8, [old("o")], behind, Limits(1)).admit == ("w",)
    assert plan(5, 8, [old("o")], behind, Limits(2)).admit == ()


def test_waiting_ones_are_looked_at_only_as_far_as_the_window() -> None:
    seen = []

    def waiting() -> Iterator[Waiting]:
        for number in range(100):
            seen.append(number)
            yield Waiting(str(number), (1.0 + number, ""), 1 if number == 60 else 2)

    assert plan(4, 8, [old("o")], waiting(), Limits(window=10)).admit == ("0", "1")
    assert plan(5, 8, [old("o")], waiting(), Limits(window=10)).admit == ("0", "1")
    assert len(seen) == 3 + 13
    assert plan(5, 8, [old("o")], waiting(), Limits(window=60)).admit == ("0", "1", "60")


Situation = tuple[int, int, list[Running], list[Waiting], Limits]
numbers = st.integers(0, 12)
sets_of_blocks = st.frozensets(st.integers(0, 9), max_size=5)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    ages = draw(st.permutations(range(8)))
    count = draw(st.integers(0, 5))
    running = [
        Running(f"r{age}", (age, ""), draw(sets_of_blocks), draw(st.integers(0, 2)))
        for age in ages[:count]
    ]
    held = held_by(running)
    waiting = []
    for age in sorted(ages[count:]):
        shared = draw(sets_of_blocks)
        need = draw(st.integers(1, 12)) + len(shared - held)
        waiting.append(Waiting(f"w{age}", (age, ""), need, shared))
    limits = Limits(draw(st.integers(0, 3)))
    return draw(numbers), draw(st.integers(0, 4)), running, waiting, limits


def held_by(running: Iterable[Running]) -> set[int]:
    return set[int]().union(*(one.blocks for one in running))


def carried_out(situation: Situation, made: Plan) -> tuple[int, int]:
    """Blocks and places that are left, block by block, less what those that run take soon."""
    free, places, running, waiting, _ = situation
    before = held_by(running)
    staying = [one for one in running if one.key not in made.preempt]
    held = held_by(staying)
    free += len(before - held)
    places += len(made.preempt) - len(made.admit)
    waits = {one.key: one for one in waiting}
    for one in (waits[key] for key in made.admit):
        in_all = one.need_blocks + len(one.shared & before)
        free -= in_all - len(one.shared & held)
        held |= one.shared
    return free - sum(one.soon_blocks for one in staying), places


@given(situations())
def test_no_plan_takes_more_than_there_is(situation: Situation) -> None:
    limits = situation[-1]
    made = plan(*situation)
    blocks, places = carried_out(situation, made)
    if made.admit:
        assert blocks >= (limits.headroom_blocks if made.promoted else 0)
        assert places >= 0


@given(situations())
def test_no_plan_leaves_unused_what_one_that_waits_could_use(situation: Situation) -> None:
    waiting, limits = situation[-2:]
    made = plan(*situation)
    keys = [one.key for one in waiting]
    left_out = [key for key in keys if key not in made.admit]
    assert made.deferred == next(iter(left_out), None)
    for key in left_out[1:]:
        more = replace(made, admit=(*made.admit, key))
        blocks, places = carried_out(situation, more)
        shared_with_admitted = waiting[keys.index(key)].shared & frozenset[int]().union(
            *(one.shared for one in waiting if one.key in made.admit)
        )
        assert places < 0 or blocks - len(shared_with_admitted) < limits.headroom_blocks


@given(situations())
def test_who_is_preempted_is_whom_a_search_of_all_choices_would_take(situation: Situation) -> None:
    """Of all sets of promoted ones that would be enough, the one that spares the oldest."""
    free, places, running, waiting, limits = situation
    if not waiting:
        return
    head = waiting[0]
    promoted = sorted((one for one in running if one.order > head.order), key=lambda r: r.order)

    def enough(gone: tuple[Running, ...]) -> bool:
        tried = Plan(preempt=tuple(one.key for one in gone), admit=(head.key,))
        return min(carried_out(situation, tried)) >= 0

    choices = (gone for count in range(len(promoted) + 1) for gone in combinations(promoted, count))
    sufficient = [gone for gone in choices if enough(gone)]
    made = plan(free, places, running, [head], limits)
    if not sufficient:
        assert made == Plan(deferred=head.key)
        return
    best = max(sufficient, key=lambda gone: [one not in gone for one in promoted])
    expected = () if enough(()) else tuple(one.key for one in reversed(best))
    assert made == Plan(preempt=expected, admit=(head.key,))
