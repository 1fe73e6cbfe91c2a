"""Members over couriers: one leader, whose decisions are obeyed, however late all is carried.

The very members, exchanges and couriers, in stories that hypothesis tells. While a courier
waits for the state, before and after each write and in the middle of each reading, other
couriers carry, all hosts' control threads go on, also its own, and time passes. What it
asked for fails, before it is done or after. Each host has a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiermem.errors import MissingError, TimeoutExpiredError
from tiermem.oasis.allocator.courier import Courier, Exchange
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.leadership import LEASE_S, Leadership, Look, Standing, Table, next_term
from tiermem.oasis.allocator.member import Member

from tests.unit.oasis.allocator.hand_made import nic, wants
from tests.unit.oasis.allocator.test_leadership import HOSTS, PERIOD_S, SharedRows


class Pod:
    """What is in the state below, hosts, and the story that is yet to happen."""

    def __init__(self, meanwhile: list[tuple[str, int]]) -> None:
        self.rows = SharedRows()
        self.said: dict[int, Report] = {}
        self.is_there = True
        self._meanwhile = meanwhile
        self.hosts = [Host(self, number) for number in range(HOSTS)]

    def something_else(self) -> None:
        """Happens while somebody waits; TimeoutExpiredError where that is for nothing."""
        if not self.is_there:
            raise TimeoutExpiredError("no answer")
        if self._meanwhile:
            what, much = self._meanwhile.pop()
            if what == "fails":
                raise TimeoutExpiredError("no answer")
            self.act(what, much)

    def act(self, what: str, much: int) -> None:
        host = self.hosts[much % HOSTS]
        if what == "time":
            self.rows.now_s += much * PERIOD_S
        elif what == "control":
            host.control()
        elif what == "carry":
            host.carry()
        elif what == "outage":
            self.is_there = not self.is_there
        elif what == "comes back":
            host.begin()
        else:
            self.settle(much * PERIOD_S)

    def settle(self, seconds: float) -> None:
        """All go on, as fast as they do."""
        for _ in range(round(seconds / PERIOD_S)):
            for host in self.hosts:
                host.control()
                host.carry()
                host.control()
            self.rows.now_s += PERIOD_S


@dataclass
class Below:
    """The state that takes long, as one host has it."""

    pod: Pod
    host: int

    def report(self, report: Report) -> None:
        self.pod.something_else()
        self.pod.said[self.host] = report
        self.pod.rows.beats[self.host] = self.pod.rows.beats.get(self.host, 0) + 1
        self.pod.something_else()

    def publish(self, table: Table) -> None:
        self.pod.something_else()
        self.pod.rows.publish(self.host, table)
        self.pod.something_else()

    def look(self, clock: Callable[[], float]) -> Look:
        began_s, rows = clock(), self.pod.rows
        beats, tables = {}, {}
        for host in range(HOSTS):
            self.pod.something_else()
            if host in rows.beats:
                beats[host] = rows.beats[host]
            if host in rows.tables:
                tables[host] = rows.tables[host]
        self.pod.something_else()
        return Look(began_s, clock(), beats, tables)

    def reports(self) -> dict[int, Report]:
        return dict(self.pod.said)


class Host:
    """Its control thread is a `Member` over the exchange."""

    def __init__(self, pod: Pod, number: int) -> None:
        self._pod, self.number = pod, number
        self.begin()

    def begin(self) -> None:
        """Anew, knowing nothing; a courier of the life before may still be waiting."""
        self.exchange = Exchange()
        self._courier = Courier(self.exchange, lambda: Below(self._pod, self.number), self.clock)
        self.member = Member(Served(self.number, self.exchange), clock=self.clock)
        self.table = Table(0)
        self._is_carrying = False

    def clock(self) -> float:
        return self._pod.rows.now_s + 1000 * self.number

    def carry(self) -> None:
        """One courier, which is in one place at a time."""
        if not self._is_carrying:
            courier, self._is_carrying = self._courier, True
            courier.carry()
            if courier is self._courier:
                self._is_carrying = False

    def control(self) -> None:
        before = self.table
        try:
            self.table = self.member.step(Report((nic(self.number),), (wants(self.number, 0, 1),)))
        except MissingError:
            assert self.exchange.outage is not None or before == Table(0)
            return
        assert self.table.age >= before.age
        if self.table != before:
            assert self.table.term >= self._pod.rows.decided_term, "who was replaced is obeyed"


@dataclass
class Served:
    """As `CourierState`, without the thread."""

    host: int
    exchange: Exchange

    def report(self, report: Report) -> None:
        self.exchange.report(report)

    def publish(self, table: Table) -> None:
        self.exchange.publish(table)

    def look(self, _clock: Callable[[], float]) -> Look:
        return self.exchange.look()

    def reports(self) -> dict[int, Report]:
        return self.exchange.reports()


much = st.integers(0, 15)
acts = st.tuples(
    st.sampled_from(["time", "control", "carry", "settle", "outage", "comes back"]), much
)
meanwhile = st.tuples(
    st.sampled_from(["time", "control", "control", "carry", "carry", "fails", "comes back"]), much
)


@settings(max_examples=30, deadline=None)
@given(st.lists(acts, max_size=40), st.lists(meanwhile, max_size=60))
@example([("settle", 15)] * 3 + [("outage", 0), ("settle", 15), ("outage", 0)], [])
def test_one_leader_is_obeyed_however_late_all_is_carried(
    story: list[tuple[str, int]], meanwhile: list[tuple[str, int]]
) -> None:
    pod = Pod(meanwhile)
    for what, how_much in story:
        pod.act(what, how_much)
    meanwhile.clear()
    pod.is_there = True
    pod.settle(6 * LEASE_S)
    leaders = [one for one in pod.hosts if one.member.leadership.standing is Standing.LEADING]
    assert len(leaders) == 1
    for host in pod.hosts:
        assert host.exchange.outage is None
        assert host.table == leaders[0].table
        assert host.table.decided_term == host.table.term
        assert len(host.table.assignments) == HOSTS


def test_nobody_dies_by_an_outage_and_who_led_leads_on() -> None:
    pod = Pod([])
    pod.settle(4 * LEASE_S)
    term = pod.hosts[0].table.term
    pod.is_there = False
    # Just too short for anybody to notice by the clock that it could not look.
    for host in pod.hosts:
        host.carry()
    pod.rows.now_s += LEASE_S - PERIOD_S
    pod.settle(PERIOD_S)
    pod.is_there = True
    everybody = frozenset(range(HOSTS))
    for host in pod.hosts[1:]:
        host.carry()
        host.control()
        assert host.member.leadership.living == everybody
    pod.settle(4 * LEASE_S)
    assert pod.hosts[0].member.leadership.standing is Standing.LEADING
    assert [host.table.term for host in pod.hosts] == [term] * HOSTS


def test_a_leader_that_cannot_look_decides_nothing() -> None:
    pod = Pod([])
    pod.settle(4 * LEASE_S)
    leader = pod.hosts[0]
    pod.is_there = False
    pod.settle(2 * LEASE_S)
    version = leader.member.leadership.table.version
    leader.control()
    assert leader.member.leadership.standing is Standing.LEADING
    assert not leader.member.leadership.may_write(leader.clock())
    assert leader.member.leadership.table.version == version


def look(at_s: float) -> Look:
    return Look(at_s, at_s, {}, {})


def test_of_each_kind_the_last_that_was_left_is_taken_once() -> None:
    exchange = Exchange()
    first, last = Report((nic(0),)), Report((nic(1),))
    exchange.report(first)
    exchange.report(last)
    exchange.publish(Table(1))
    exchange.publish(Table(2))
    assert exchange.take() == (last, Table(2))
    exchange.publish(Table(2))
    assert exchange.take() == (None, None)


def test_what_failed_is_left_again_by_whoever_misses_it() -> None:
    exchange = Exchange()
    exchange.publish(Table(2))
    exchange.take()
    exchange.fail(TimeoutExpiredError("no answer"))
    exchange.publish(Table(2))
    assert exchange.take() == (None, Table(2))
    exchange.fail(TimeoutExpiredError("no answer"))
    assert exchange.take() == (None, None)


def test_an_outage_has_a_begin_and_an_end() -> None:
    exchange = Exchange()
    with pytest.raises(MissingError, match="what the pod's hosts say is not known"):
        exchange.look()
    exchange.fail(TimeoutExpiredError("no answer"))
    began = exchange.outage
    assert began is not None
    exchange.fail(MissingError("Connection refused"))
    assert exchange.outage is not None
    assert exchange.outage.since == began.since
    assert "Connection refused" in str(exchange.outage)
    exchange.deliver(look(1), {})
    assert exchange.outage is None
    # Whoever comes to look only now is to know all the same.
    exchange.deliver(look(2), {0: Report()})
    assert exchange.look() == replace(look(2), is_resumed=True)
    assert exchange.reports() == {0: Report()}
    exchange.deliver(look(3), {})
    assert exchange.look() == look(3)


def test_whoever_could_not_look_takes_nobody_for_dead_at_once() -> None:
    old = Table(next_term(0, 0), next_term(0, 0), 8)

    def watched(is_resumed: bool) -> frozenset[int]:
        leadership = Leadership(1)
        leadership.step(Look(0, 0, {0: 5, 1: 1}, {0: old}))
        leadership.step(Look(0.9, 0.9, {0: 5, 1: 2}, {0: old}))
        leadership.step(Look(1.1, 1.1, {0: 5, 1: 3}, {0: old}, is_resumed))
        return leadership.living

    assert watched(is_resumed=False) == {1}
    assert watched(is_resumed=True) == {0, 1}
