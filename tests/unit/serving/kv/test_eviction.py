"""Eviction policies: against plain models, and what must be true of any."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.serving.kv.arc import Arc
from tiermem.serving.kv.cost_aware import CostAware
from tiermem.serving.kv.eviction import EvictionPolicy, Fifo, Lru, PolicyName, make_policy

from tests.unit.serving.kv.tiers import key

STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "remove", "pin", "unpin"]), st.integers(0, 9)),
    max_size=80,
)
BLOCKS = 4


def drive(policy: EvictionPolicy, steps: list[tuple[str, int]]) -> list[bytes]:
    """A tier of four blocks under these steps; who was thrown out, in order."""
    there: set[bytes] = set()
    pinned: set[bytes] = set()
    out: list[bytes] = []
    for step, number in steps:
        one = key(number)
        if step == "pin" and one in there:
            pinned.add(one)
        elif step == "unpin":
            pinned.discard(one)
        elif step == "remove" and one in there and one not in pinned:
            policy.remove(one)
            there.remove(one)
        elif step == "ask" and one in there:
            policy.use(one)
        elif step == "ask":
            if len(there) == BLOCKS:

                def may_go(candidate: bytes) -> bool:
                    return candidate not in pinned

                order = list(policy.order())
                assert sorted(order) == sorted(there)
                assert list(policy.order()) == order, "asking changes nothing"
                victim = policy.victim(may_go)
                assert (victim is None) == (there <= pinned)
                if victim is None:
                    continue
                if not pinned & there:
                    assert victim == order[0]
                assert victim in there
                assert victim not in pinned
                there.remove(victim)
                out.append(victim)
            policy.insert(one, float(number + 1))
            there.add(one)
    return out


class PlainQueue:
    """FIFO and LRU as a list."""

    def __init__(self, *, moves: bool) -> None:
        self.keys: list[bytes] = []
        self.moves = moves

    def insert(self, one: bytes, cost: float) -> None:
        self.keys.append(one)

    def use(self, one: bytes) -> None:
        if self.moves:
            self.keys.remove(one)
            self.keys.append(one)

    def remove(self, one: bytes) -> None:
        self.keys.remove(one)

    def victim(self, may_go):  # type: ignore[no-untyped-def]
        for one in self.keys:
            if may_go(one):
                self.keys.remove(one)
                return one
        return None

    def order(self) -> Iterator[bytes]:
        return iter(self.keys)


class PlainGreedyDual:
    """The least worth of a dictionary, the oldest of equals."""

    def __init__(self) -> None:
        self.floor, self.clock = 0.0, 0
        self.worth: dict[bytes, tuple[float, int]] = {}
        self.costs: dict[bytes, float] = {}

    def insert(self, one: bytes, cost: float) -> None:
        self.costs[one] = cost
        self.use(one)

    def use(self, one: bytes) -> None:
        self.clock += 1
        self.worth[one] = (self.floor + self.costs[one], self.clock)

    def remove(self, one: bytes) -> None:
        del self.worth[one], self.costs[one]

    def victim(self, may_go):  # type: ignore[no-untyped-def]
        able = [one for one in self.worth if may_go(one)]
        if not able:
            return None
        found = min(able, key=lambda one: self.worth[one])
        self.floor = self.worth[found][0]
        self.remove(found)
        return found

    def order(self) -> Iterator[bytes]:
        return iter(sorted(self.worth, key=lambda one: self.worth[one]))


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_queues_throw_out_as_a_list_does(steps: list[tuple[str, int]]) -> None:
    assert drive(Fifo(), steps) == drive(PlainQueue(moves=False), steps)
    assert drive(Lru(), steps) == drive(PlainQueue(moves=True), steps)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_cost_aware_throws_out_the_least_worth(steps: list[tuple[str, int]]) -> None:
    assert drive(CostAware(), steps) == drive(PlainGreedyDual(), steps)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_arc_throws_out_only_who_is_there_and_bounds_what_it_remembers(
    steps: list[tuple[str, int]],
) -> None:
    arc = Arc(BLOCKS)
    drive(arc, steps)
    assert 0 <= arc.once_target <= BLOCKS
    assert len(arc._ghosts_once) + len(arc._ghosts_again) <= BLOCKS


def hits(name: PolicyName, asked: list[int]) -> int:
    policy = make_policy(name, BLOCKS)
    there: set[bytes] = set()
    found = 0
    for one in map(key, asked):
        if one in there:
            found += 1
            policy.use(one)
            continue
        if len(there) == BLOCKS:
            victim = policy.victim(lambda _key: True)
            assert victim is not None
            there.remove(victim)
        policy.insert(one, 1.0)
        there.add(one)
    return found


def test_arc_keeps_what_is_used_again_through_a_scan_where_lru_does_not() -> None:
    again = [0, 1, 0, 1]
    scan = list(range(10, 30))
    asked = again + [number for one in scan for number in (one, *([0, 1] if one % 4 == 0 else []))]
    assert hits("arc", asked) > hits("lru", asked)
