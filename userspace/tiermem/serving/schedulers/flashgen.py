"""FlashGen's order of requests (ASPLOS 2025): memory stays full, and nobody starves.

First come, first served, but for this: where the oldest waiting request does not fit, it is
**deferred**, and younger ones that fit are **promoted** past it. What promoted ones hold
counts as free for it: once free and promoted memory together are enough, promoted ones are
preempted, the youngest first, and it runs.

A running request is a promoted one as long as an older one waits; no other state is kept.
The oldest request of all is hence never preempted, and runs at the latest when all that
are running are younger than it: it has all memory then. So every request gets its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

# The moment of arrival, and a name for those that came at once.
Order = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Running:
    """A request that runs. blocks: what is free once it and all `Running` that share it end."""

    key: str
    order: Order
    blocks: frozenset[int]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that waits.

    need_blocks: free ones that all of its tokens take; cached blocks that it shares and that
    nobody uses count, since they are free until then. shared: the blocks of its prefix that
    are cached, in use or not.
    """

    key: str
    order: Order
    need_blocks: int
    shared: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Room:
    """What is left: free blocks that no running request is about to take, and places."""

    blocks: int
    places: int

    def takes(self, request: Waiting, headroom_blocks: int = 0) -> bool:
        return self.places > 0 and request.need_blocks <= self.blocks - headroom_blocks

    def without(self, request: Waiting) -> Room:
        return Room(self.blocks - request.need_blocks, self.places - 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step does: preempt, in this order; then admit, in this order.

    promoted: those of `admit` that pass the deferred one. deferred: None where nobody waits
    any more.
    """

    preempt: tuple[str, ...] = ()
    admit: tuple[str, ...] = ()
    promoted: tuple[str, ...] = ()
    deferred: str | None = None


@dataclass(frozen=True, slots=True)
class _State:
    """A plan being made: what it leaves, who runs (oldest first), what must not be freed."""

    room: Room
    running: tuple[Running, ...]
    pinned: frozenset[int] = frozenset()
    plan: Plan = field(default_factory=Plan)


def plan(
    room: Room, running: Iterable[Running], waiting: Iterable[Waiting], headroom_blocks: int = 0
) -> Plan:
    """What to do before a step.

    waiting: oldest first, taken only as far as there is room. headroom_blocks: what promoted
    requests leave free, for those that run to grow into.
    """
    state = _State(room, tuple(sorted(running, key=lambda one: one.order)))
    queue = iter(waiting)
    for head in queue:
        after = _admitted(state, head)
        if after is None:
            deferred = replace(state, plan=replace(state.plan, deferred=head.key))
            return _promoted(deferred, queue, headroom_blocks).plan
        state = after
    return state.plan


def _admitted(state: _State, head: Waiting) -> _State | None:
    """With the oldest waiting one running; None where it does not fit."""
    room, victims = state.room, tuple[Running, ...]()
    if not room.takes(head):
        promoted = [one for one in state.running if one.order > head.order]
        pinned = state.pinned | head.shared
        chosen = choose_victims(room, head, promoted, pinned)
        if chosen is None:
            return None
        victims = tuple(chosen)
        freed = released(victims, promoted, pinned)
        room = Room(room.blocks + freed, room.places + len(victims))
    made = state.plan
    return _State(
        room=room.without(head),
        running=tuple(one for one in state.running if one not in victims),
        pinned=state.pinned | head.shared,
        plan=replace(
            made,
            preempt=made.preempt + tuple(one.key for one in reversed(victims)),
            admit=(*made.admit, head.key),
        ),
    )


def choose_victims(
    room: Room, head: Waiting, promoted: Sequence[Running], pinned: frozenset[int]
) -> list[Running] | None:
    """Whom to preempt for `head`, oldest first; None where all of them are not enough.

    promoted: oldest first. Each is kept that can be, the oldest judged first: a promoted one
    that has run for long has most to lose.
    """

    def enough(victims: Sequence[Running]) -> bool:
        blocks = room.blocks + released(victims, promoted, pinned)
        return room.places + len(victims) > 0 and head.need_blocks <= blocks

    if not enough(promoted):
        return None
    victims = list(promoted)
    for one in promoted:
        without = [other for other in victims if other is not one]
        if enough(without):
            victims = without
    return victims


def released(
    victims: Sequence[Running], promoted: Sequence[Running], pinned: frozenset[int]
) -> int:
    """How many blocks are free once the victims are preempted and the other promoted stay."""
    going = {one.key for one in victims}
    holders = Counter(block for one in promoted if one.key not in going for block in one.blocks)
    gone = frozenset[int]().union(*(one.blocks for one in victims))
    return sum(1 for block in gone if block not in holders and block not in pinned)


def _promoted(state: _State, queue: Iterator[Waiting], headroom_blocks: int) -> _State:
    """With younger ones running that fit beside what the deferred one cannot use yet."""
    while state.room.places > 0 and state.room.blocks > headroom_blocks:
        request = next(queue, None)
        if request is None:
            break
        if state.room.takes(request, headroom_blocks):
            made = state.plan
            made = replace(
                made,
                admit=(*made.admit, request.key),
                promoted=(*made.promoted, request.key),
            )
            state = replace(state, room=state.room.without(request), plan=made)
    return state
