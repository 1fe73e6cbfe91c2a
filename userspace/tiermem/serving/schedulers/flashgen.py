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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

# The moment of arrival, and a name for those that came at once.
Order = tuple[float, str]


@dataclass(frozen=True, slots=True)
class Running:
    """A request that runs.

    blocks: what is free once it and all `Running` that share it have ended; may be left empty
    where no older one waits. soon_blocks: what it is about to take besides.
    can_be_preempted: its blocks are free at once if it is.
    """

    key: str
    order: Order
    blocks: frozenset[int] = frozenset()
    soon_blocks: int = 0
    can_be_preempted: bool = True


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
    """What is left. blocks: free ones, less what those that run are about to take; below 0
    where that is more than there is."""

    blocks: int
    places: int

    def takes(self, request: Waiting, headroom_blocks: int = 0) -> bool:
        return self.places > 0 and request.need_blocks <= self.blocks - headroom_blocks

    def without(self, request: Waiting) -> Room:
        return Room(self.blocks - request.need_blocks, self.places - 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of promotion. headroom_blocks: what it leaves free, for those that run to grow into.
    window: how many younger ones are looked at in a step, which costs time for each."""

    headroom_blocks: int = 0
    window: int = 64


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
    """A plan being made: what it leaves, and who runs (oldest first).

    pinned: blocks that requests it admits share. freed: blocks of those it preempts.
    """

    room: Room
    running: tuple[Running, ...]
    pinned: frozenset[int] = frozenset()
    freed: frozenset[int] = frozenset()
    plan: Plan = field(default_factory=Plan)

    def judged(self, request: Waiting) -> Waiting:
        """Blocks that it shared with those that are preempted count as free by now."""
        more = len(request.shared & self.freed)
        return replace(request, need_blocks=request.need_blocks + more)

    def with_admitted(self, request: Waiting, made: Plan) -> _State:
        return replace(
            self,
            room=self.room.without(request),
            pinned=self.pinned | request.shared,
            freed=self.freed - request.shared,
            plan=made,
        )


def plan(
    free_blocks: int,
    places: int,
    running: Sequence[Running],
    waiting: Iterable[Waiting],
    limits: Limits = Limits(),
) -> Plan:
    """What to do before a step.

    places: how many more may run. waiting: oldest first, taken only as far as is needed.
    """
    room = Room(free_blocks - sum(one.soon_blocks for one in running), places)
    state = _State(room, tuple(sorted(running, key=lambda one: one.order)))
    queue = iter(waiting)
    for head in queue:
        after = _admitted(state, head)
        if after is None:
            deferred = replace(state, plan=replace(state.plan, deferred=head.key))
            return _promoted(deferred, islice(queue, limits.window), limits.headroom_blocks).plan
        state = after
    return state.plan


def _admitted(state: _State, head: Waiting) -> _State | None:
    """With the oldest waiting one running; None where it does not fit."""
    head = state.judged(head)
    if not state.room.takes(head):
        made_room = _preempted(state, head)
        if made_room is None:
            return None
        state = made_room
    made = state.plan
    return state.with_admitted(head, replace(made, admit=(*made.admit, head.key)))


def _preempted(state: _State, head: Waiting) -> _State | None:
    """Without as many promoted ones as `head` needs; None where all are not enough."""
    promoted = [one for one in state.running if one.order > head.order and one.can_be_preempted]
    others = [one.blocks for one in state.running if one not in promoted]
    found = _made_room(state.room, head, promoted, state.pinned.union(head.shared, *others))
    if found is None:
        return None
    room, victims = found
    staying = tuple(one for one in state.running if one not in victims)
    held = state.pinned.union(head.shared, *(one.blocks for one in staying))
    keys = tuple(one.key for one in reversed(victims))
    return replace(
        state,
        room=room,
        running=staying,
        freed=state.freed.union(*(one.blocks for one in victims)) - held,
        plan=replace(state.plan, preempt=state.plan.preempt + keys),
    )


def _made_room(
    room: Room, head: Waiting, promoted: Sequence[Running], pinned: frozenset[int]
) -> tuple[Room, tuple[Running, ...]] | None:
    """What is left for `head` once these are preempted, oldest first; None where it never is
    enough.

    promoted: oldest first. Each is spared that can be, the oldest judged first: what has run
    for long has most to lose.
    """
    staying = set(pinned)
    most = frozenset[int]().union(*(one.blocks for one in promoted)) - pinned
    soon = sum(one.soon_blocks for one in promoted)
    left = Room(room.blocks + len(most) + soon, room.places + len(promoted))
    if not left.takes(head):
        return None
    victims = []
    for one in promoted:
        lost = len(one.blocks - staying) + one.soon_blocks
        spared = Room(left.blocks - lost, left.places - 1)
        if spared.takes(head):
            left = spared
            staying |= one.blocks
        else:
            victims.append(one)
    return left, tuple(victims)


def _promoted(state: _State, queue: Iterable[Waiting], headroom_blocks: int) -> _State:
    """With younger ones running that fit beside what the deferred one cannot use yet."""
    younger = iter(queue)
    while state.room.places > 0 and state.room.blocks > headroom_blocks:
        request = next(younger, None)
        if request is None:
            break
        request = state.judged(request)
        if state.room.takes(request, headroom_blocks):
            made = state.plan
            made = replace(
                made,
                admit=(*made.admit, request.key),
                promoted=(*made.promoted, request.key),
            )
            state = state.with_admitted(request, made)
    return state
