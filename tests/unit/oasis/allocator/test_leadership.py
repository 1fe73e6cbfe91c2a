"""One leader at a time, whose decisions are obeyed: in interleavings that hypothesis draws.

Hosts take turns between any two reads or writes of a row; they stop in the middle of
anything while the clock goes on, die, and come back knowing nothing. Each has a clock of
its own, which shows another time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiermem.oasis.allocator.leadership import (
    LEASE_S,
    Leadership,
    Look,
    Obedience,
    Standing,
    Table,
    leader_of,
    next_term,
)
from tiermem.oasis.allocator.pod import DeviceId, InstanceId

HOSTS = 3
PERIOD_S = 0.1


@dataclass
class SharedRows:
    """What is in the pool, the clock of this world, and what was seen to be wrong."""

    now_s: float = 0.0
    beats: dict[int, int] = field(default_factory=dict)
    tables: dict[int, Table] = field(default_factory=dict)
    deciders: dict[int, int] = field(default_factory=dict)
    contents: dict[tuple[int, int], object] = field(default_factory=dict)
    decided_term: int = 0

    def publish(self, host: int, table: Table) -> None:
        assert leader_of(table.term) == host
        if table.decided_term == table.term:
            assert self.deciders.setdefault(table.term, host) == host
            self.decided_term = max(self.decided_term, table.term)
            assert self.contents.setdefault(table.age, table.assignments) == table.assignments
        self.tables[host] = table


class Host:
    """One that lives, stops and dies as it is told; each `next` of its life is one access."""

    def __init__(self, rows: SharedRows, number: int) -> None:
        self.rows, self.number = rows, number
        self.begin()

    def begin(self) -> None:
        self.leadership = Leadership(self.number)
        self.obedience = Obedience()
        self._life = self._live()
        self.is_alive = True

    def clock(self) -> float:
        return self.rows.now_s + 1000 * self.number

    def access(self) -> None:
        if self.is_alive:
            next(self._life)

    def _live(self) -> Iterator[None]:
        while True:
            self.rows.beats[self.number] = self.rows.beats.get(self.number, 0) + 1
            yield
            began_s = self.clock()
            beats, tables = {}, {}
            for host in range(HOSTS):
                if host in self.rows.beats:
                    beats[host] = self.rows.beats[host]
                if host in self.rows.tables:
                    tables[host] = self.rows.tables[host]
                yield
            look = Look(began_s, self.clock(), beats, tables)
            yield
            self._obey(look)
            yield
            claim = self.leadership.step(look)
            yield
            if claim is not None:
                self.rows.publish(self.number, claim)
            elif self.leadership.may_write(self.clock()):
                table = self.leadership.decide([self._assignment()])
                yield
                self.rows.publish(self.number, table)
            yield

    def _assignment(self) -> tuple[InstanceId, DeviceId]:
        return InstanceId(0, 0), DeviceId(self.number, self.leadership.table.version)

    def _obey(self, look: Look) -> None:
        before, term = self.obedience.table, self.obedience.term
        table = self.obedience.obey(look, self.clock())
        assert self.obedience.term >= term
        assert table.age >= before.age
        if table is not before:
            assert table.term >= self.rows.decided_term, "a leader that was replaced is obeyed"


def settle(rows: SharedRows, hosts: list[Host], seconds: float) -> None:
    """All go on, as fast as they do."""
    for _ in range(round(seconds / PERIOD_S)):
        for host in hosts:
            for _ in range(HOSTS + 6):
                host.access()
        rows.now_s += PERIOD_S


acts = st.one_of(
    st.tuples(st.just("go"), st.integers(0, HOSTS - 1), st.integers(1, 40)),
    st.tuples(st.just("time"), st.just(0), st.integers(1, 30)),
    st.tuples(st.just("settle"), st.just(0), st.integers(1, 30)),
    st.tuples(st.just("die"), st.integers(0, HOSTS - 1), st.just(0)),
    st.tuples(st.just("come back"), st.integers(0, HOSTS - 1), st.just(0)),
)


def act(rows: SharedRows, hosts: list[Host], what: str, number: int, much: int) -> None:
    if what == "go":
        for _ in range(much):
            hosts[number].access()
    elif what == "time":
        rows.now_s += much * PERIOD_S
    elif what == "settle":
        settle(rows, hosts, much * PERIOD_S)
    elif what == "die":
        hosts[number].is_alive = False
    else:
        hosts[number].begin()


@settings(max_examples=300, deadline=None)
@given(st.lists(acts, max_size=60))
@example([("settle", 0, 30), ("die", 0, 0), ("settle", 0, 30), ("come back", 0, 0)])
def test_one_leader_is_obeyed_whoever_stops_dies_or_comes_back(
    story: list[tuple[str, int, int]],
) -> None:
    rows = SharedRows()
    hosts = [Host(rows, number) for number in range(HOSTS)]
    for what, number, much in story:
        act(rows, hosts, what, number, much)
    if not hosts[HOSTS - 1].is_alive:
        hosts[HOSTS - 1].begin()
    settle(rows, hosts, 6 * LEASE_S)
    living = [host for host in hosts if host.is_alive]
    leaders = [host for host in living if host.leadership.standing is Standing.LEADING]
    assert len(leaders) == 1
    for host in living:
        assert host.obedience.term == leaders[0].leadership.table.term
        assert host.obedience.table.decided_term == host.obedience.term


def test_a_leader_that_lives_goes_on_leading_when_a_lower_host_comes() -> None:
    rows = SharedRows()
    hosts = [Host(rows, number) for number in range(HOSTS)]
    hosts[0].is_alive = False
    settle(rows, hosts, 4 * LEASE_S)
    assert hosts[1].leadership.standing is Standing.LEADING
    hosts[0].begin()
    settle(rows, hosts, 4 * LEASE_S)
    assert hosts[1].leadership.standing is Standing.LEADING


def test_the_next_leads_two_leases_after_a_leader_died_and_keeps_its_table() -> None:
    rows = SharedRows()
    hosts = [Host(rows, number) for number in range(HOSTS)]
    settle(rows, hosts, 4 * LEASE_S)
    assert hosts[0].leadership.standing is Standing.LEADING
    hosts[0].is_alive = False
    kept = rows.tables[0].assignments
    settle(rows, hosts[1:], 2 * LEASE_S - PERIOD_S)
    assert rows.tables[1].assignments == kept
    settle(rows, hosts[1:], 5 * PERIOD_S)
    assert hosts[1].leadership.standing is Standing.LEADING


def test_nobody_is_taken_for_dead_by_a_host_that_was_stopped_itself() -> None:
    rows = SharedRows()
    hosts = [Host(rows, number) for number in range(HOSTS)]
    settle(rows, hosts, 4 * LEASE_S)
    term = rows.tables[0].term
    rows.now_s += 10 * LEASE_S
    settle(rows, hosts[1:], 2 * PERIOD_S)
    settle(rows, hosts, 4 * LEASE_S)
    assert hosts[0].leadership.standing is Standing.LEADING
    assert rows.tables[0].term == term


def claiming(host: int) -> tuple[Leadership, Table]:
    """It and its claim, after the term of host 0 whose 8th table it has seen."""
    leadership = Leadership(host)
    old = Table(next_term(0, 0), next_term(0, 0), 8)
    for step in range(11):
        at_s = step * PERIOD_S
        claim = leadership.step(Look(at_s, at_s, {0: 5, host: step}, {0: old}))
    assert claim is not None
    return leadership, claim


def test_a_new_leader_goes_on_from_what_the_old_one_decided_last() -> None:
    leadership, claim = claiming(1)
    last = Table(next_term(0, 0), next_term(0, 0), 9)
    assert claim.age == (last.term, 8)
    for step in range(11, 23):
        at_s = step * PERIOD_S
        leadership.step(Look(at_s, at_s, {0: 5, 1: step}, {0: last, 1: claim}))
    assert leadership.standing is Standing.LEADING
    assert leadership.table.age == last.age


def test_a_claim_counts_from_when_it_can_be_seen() -> None:
    leadership, _ = claiming(1)
    for step in range(11, 100):
        leadership.step(Look(step * PERIOD_S, step * PERIOD_S, {0: 5, 1: step}, {}))
    assert leadership.standing is Standing.CLAIMING


def test_a_leader_writes_only_within_a_lease_of_its_last_look() -> None:
    rows = SharedRows()
    hosts = [Host(rows, number) for number in range(HOSTS)]
    settle(rows, hosts, 4 * LEASE_S)
    assert hosts[0].leadership.may_write(rows.now_s)
    assert not hosts[0].leadership.may_write(rows.now_s + LEASE_S)


def test_a_term_that_was_taken_back_is_not_followed() -> None:
    first, second = Table(next_term(0, 0), next_term(0, 0), 1), Table(next_term(64, 1))
    obedience = Obedience()
    obedience.obey(Look(0, 0, {}, {0: first, 1: second}), 0)
    assert obedience.obey(Look(1, 1, {}, {0: first}), 1) == Table(0)
    assert obedience.term == second.term


def test_a_stopped_leaders_late_write_is_not_obeyed() -> None:
    late = Table(next_term(0, 0), next_term(0, 0), 9)
    claim = Table(next_term(late.term, 1), late.term, 8)
    obedience = Obedience()
    obedience.obey(Look(0, 0, {}, {0: Table(late.term, late.term, 8), 1: claim}), 0)
    assert obedience.obey(Look(1, 1, {}, {0: late, 1: claim}), 1).version == 8


def test_a_look_that_took_a_lease_is_not_obeyed() -> None:
    table = Table(next_term(0, 1), next_term(0, 1), 1)
    obedience = Obedience()
    assert obedience.obey(Look(0, LEASE_S, {}, {1: table}), LEASE_S) == Table(0)
    assert obedience.obey(Look(LEASE_S, LEASE_S, {}, {1: table}), LEASE_S) == table
