"""Hosts of a pod over a pool in a file: what they tell each other, decide and obey."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tiermem.errors import (
    DamagedError,
    MissingError,
    NoSpaceError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.layer.pool import Area, create_pool, open_pool
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.leadership import LEASE_S, Standing, Table, next_term
from tiermem.oasis.allocator.member import Member
from tiermem.oasis.allocator.pod import DeviceId, Health, InstanceId, Loan
from tiermem.oasis.allocator.state import REPORT_S, PodState, format_state, state_bytes
from tiermem.oasis.row import Row, RowMemory, copy_bytes_for

from tests.unit.oasis.allocator.hand_made import nic, wants

HOSTS = 3


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def area_of_each(tmp_path: Path) -> Iterator[list[Area]]:
    """The same area, on each of the hosts."""
    path = tmp_path / "pool"
    create_pool(path, hosts=HOSTS, entries=8, size=16 << 20)
    with ExitStack() as stack:
        pools = [
            stack.enter_context(open_pool(path, host, run_dir=tmp_path / f"run{host}"))
            for host in range(HOSTS)
        ]
        made = stack.enter_context(pools[0].create_area("allocator", state_bytes(HOSTS)))
        others = [stack.enter_context(pool.open_area("allocator")) for pool in pools[1:]]
        yield [made, *others]


@pytest.fixture
def states(area_of_each: list[Area]) -> Iterator[list[PodState]]:
    format_state(area_of_each[0], HOSTS)
    with ExitStack() as stack:
        yield [stack.enter_context(PodState(area, host)) for host, area in enumerate(area_of_each)]


class Running:
    """All members, each with one NIC and one instance, on a clock that tests move."""

    def __init__(self, states: list[PodState]) -> None:
        self.clock = Clock()
        self.members = [Member(state, clock=self.clock) for state in states]
        self.reports = [Report((nic(host),), (wants(host, 0, 10),)) for host in range(len(states))]
        self.tables = [Table(0)] * len(states)
        self.living = set(range(len(states)))

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / REPORT_S)):
            for host in sorted(self.living):
                self.tables[host] = self.members[host].step(self.reports[host])
            self.clock.now_s += REPORT_S

    def change_nic(self, host: int, **changes: object) -> None:
        device = replace(self.reports[host].devices[0], **changes)  # type: ignore[arg-type]
        self.reports[host] = replace(self.reports[host], devices=(device,))


def test_a_nic_that_one_host_cannot_reach_has_failed_for_all(states: list[PodState]) -> None:
    pod = Running(states)
    pod.change_nic(1, backup=nic(2).id)
    pod.run(3 * LEASE_S)
    lost = nic(1).id
    pod.reports[0] = replace(pod.reports[0], unreachable=(lost,))
    pod.run(3 * REPORT_S)
    served_by = [dict(pod.tables[host].assignments)[InstanceId(1, 0)] for host in range(HOSTS)]
    assert served_by == [nic(2).id] * HOSTS
    assert pod.members[2].pod().devices[lost].health is Health.FAILED
    pod.reports[0] = replace(pod.reports[0], unreachable=())
    pod.run(REPORT_S)
    assert pod.members[2].pod().devices[lost].health is Health.HEALTHY


def test_a_failure_is_acted_on_between_reports(states: list[PodState]) -> None:
    pod = Running(states)
    pod.run(3 * LEASE_S)
    leader, other, failing = pod.members[0], pod.members[2], pod.members[1]
    before = other.look()
    assert leader.look() == before
    failed = replace(pod.reports[1], devices=(replace(nic(1), health=Health.FAILED),))
    failing.step(failed)
    assert leader.look() != before
    assert dict(other.look().assignments)[InstanceId(1, 0)] != nic(1).id
    assert other.has_news
    other.look()
    assert not other.has_news


def test_each_life_of_a_host_is_known_until_it_is_dead(states: list[PodState]) -> None:
    pod = Running(states)
    pod.reports[1] = replace(pod.reports[1], life=7)
    pod.run(3 * LEASE_S)
    assert pod.members[0].lives() == {0: 0, 1: 7, 2: 0}
    pod.living.remove(1)
    pod.run(2 * LEASE_S)
    assert pod.members[0].lives() == {0: 0, 2: 0}


def test_a_host_reads_what_the_others_said_last(states: list[PodState]) -> None:
    for measured in (1, 2, 3):
        states[1].report(Report((replace(nic(1), measured=measured),)))
    look = states[0].look(Clock())
    assert states[0].reports() == {1: Report((replace(nic(1), measured=3),))}
    assert look.beats == {1: 3}


def test_a_host_that_comes_back_goes_on_where_it_was(
    states: list[PodState], area_of_each: list[Area]
) -> None:
    states[1].report(Report((nic(1),)))
    with PodState(area_of_each[1], 1) as again:
        again.report(Report())
    assert states[0].look(Clock()).beats == {1: 2}


def test_all_obey_the_leaders_table_and_use_their_own_nics(states: list[PodState]) -> None:
    pod = Running(states)
    pod.run(4 * LEASE_S)
    assert pod.members[0].leadership.standing is Standing.LEADING
    assert len(set(pod.tables)) == 1
    assert dict(pod.tables[2].assignments) == {
        InstanceId(host, 0): DeviceId(host, 0) for host in range(HOSTS)
    }


def test_instances_of_a_failed_nic_are_on_its_backup_at_the_next_step(
    states: list[PodState],
) -> None:
    pod = Running(states)
    pod.change_nic(1, backup=DeviceId(2, 0))
    pod.run(4 * LEASE_S)
    pod.change_nic(1, health=Health.FAILED)
    pod.run(2 * REPORT_S)
    assert dict(pod.tables[1].assignments)[InstanceId(1, 0)] == DeviceId(2, 0)
    assert pod.tables[2].loans == (Loan(DeviceId(1, 0), DeviceId(2, 0)),)


def test_the_devices_of_a_leader_that_dies_are_replaced_by_the_next(
    states: list[PodState],
) -> None:
    pod = Running(states)
    pod.reports[1] = replace(
        pod.reports[1], instances=(replace(wants(1, 0, 10), wish=DeviceId(0, 0)),)
    )
    pod.run(4 * LEASE_S)
    assert dict(pod.tables[1].assignments)[InstanceId(1, 0)] == DeviceId(0, 0)
    pod.living = {1, 2}
    pod.run(2 * LEASE_S + 5 * REPORT_S)
    assert pod.members[1].leadership.standing is Standing.LEADING
    assert dict(pod.tables[1].assignments) == {
        InstanceId(1, 0): DeviceId(1, 0),
        InstanceId(2, 0): DeviceId(2, 0),
    }


def test_who_was_dead_is_so_after_the_leader_was_stopped(states: list[PodState]) -> None:
    pod = Running(states)
    pod.run(4 * LEASE_S)
    pod.living = {0, 1}
    pod.run(2 * LEASE_S)
    pod.clock.now_s += 5 * LEASE_S
    pod.run(REPORT_S)
    assert pod.members[0].leadership.living == {0, 1}
    assert pod.members[0].leadership.standing is Standing.LEADING


def test_a_table_that_stays_the_same_is_not_written_again(states: list[PodState]) -> None:
    pod = Running(states)
    pod.run(4 * LEASE_S)
    version = pod.tables[0].version
    pod.run(LEASE_S)
    assert pod.tables[0].version == version


def test_what_could_not_be_written_is_written_at_a_later_step(
    states: list[PodState], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim, then a decision: neither the pod's leader nor its table is lost."""
    pod = Running(states)
    pod.living = {0}
    publish = states[0].publish
    tables: list[Table] = []

    def fail_every_other_time(table: Table) -> None:
        tables.append(table)
        if len(tables) % 2:
            raise TimeoutExpiredError("the state: no answer")
        publish(table)

    monkeypatch.setattr(states[0], "publish", fail_every_other_time)
    for _ in range(2):
        with pytest.raises(TimeoutExpiredError):
            pod.run(4 * LEASE_S)
        pod.clock.now_s += REPORT_S
    pod.run(REPORT_S)
    (claim, claim_again, decision, decision_again) = tables
    assert (claim, decision) == (claim_again, decision_again)
    assert pod.tables[0] == decision


def test_rows_of_random_bytes_are_refused_counted_and_survived(
    states: list[PodState], area_of_each: list[Area]
) -> None:
    pod = Running(states)
    pod.run(4 * LEASE_S)
    before = pod.tables[0].assignments
    chance = random.Random(1)
    pod.living = {0, 1}
    at, _ = states[0]._report_at(2)
    area_of_each[2].view[at:] = chance.randbytes(area_of_each[2].bytes - at)
    pod.run(2 * REPORT_S)
    assert states[0].refused > 0
    assert pod.tables[0].assignments == before


def test_a_table_that_claims_another_hosts_term_is_refused(states: list[PodState]) -> None:
    states[2].publish(Table(next_term(0, 1)))
    assert states[0].look(Clock()).tables == {}
    assert states[0].refused == 1


def test_what_is_no_state_of_this_pod_is_not_opened(area_of_each: list[Area]) -> None:
    with pytest.raises(MissingError, match="'allocator': holds no allocator's state"):
        PodState(area_of_each[0], 0)
    with pytest.raises(TiermemError, match="a pod of 4 hosts takes"):
        format_state(area_of_each[0], 4)
    format_state(area_of_each[0], HOSTS)
    with pytest.raises(MissingError, match="of a pod of 3 hosts, without one 3"):
        PodState(area_of_each[0], 3)


def test_a_row_takes_whole_words_that_fit(area_of_each: list[Area]) -> None:
    with RowMemory(area_of_each[0]) as memory:
        row = Row(memory, 0, copy_bytes_for(64))
        assert row.read() is None
        with pytest.raises(NoSpaceError, match="multiple of 8 up to 96"):
            row.publish(bytes(104))
        with pytest.raises(NoSpaceError, match="9 bytes"):
            row.publish(bytes(9))
        with pytest.raises(TiermemError, match="multiples of 64"):
            Row(memory, 8, 128)


def test_a_row_that_goes_back_is_refused(area_of_each: list[Area]) -> None:
    ours, theirs = area_of_each[:2]
    with RowMemory(ours) as memory, RowMemory(theirs) as other:
        writer, reader = Row(memory, 0, 128), Row(other, 0, 128)
        writer.publish(b"a" * 8)
        earlier = bytes(ours.view[:256])
        writer.publish(b"b" * 8)
        found = reader.read()
        assert found is not None
        assert (found.sequence, found.data) == (2, b"b" * 8)
        ours.view[:256] = earlier
        with pytest.raises(DamagedError, match="goes back to 1"):
            reader.read()
