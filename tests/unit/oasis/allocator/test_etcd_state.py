"""Hosts of a pod over a real etcd: the same members, where the pool has no state of theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from select import POLLIN, poll
from time import monotonic, sleep

import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.oasis.allocator.courier_state import CourierState
from tiermem.oasis.allocator.encoding import Report, encode_report
from tiermem.oasis.allocator.etcd_access import EtcdAccess
from tiermem.oasis.allocator.etcd_client import EtcdClient, Write
from tiermem.oasis.allocator.etcd_state import EtcdState
from tiermem.oasis.allocator.leadership import LEASE_S, Standing, Table
from tiermem.oasis.allocator.member import Member
from tiermem.oasis.allocator.pod import DeviceId, InstanceId

from tests.unit.oasis.allocator.etcd_process import Etcd, is_installed
from tests.unit.oasis.allocator.hand_made import nic, wants

HOSTS = 2
STEP_S = LEASE_S / 2

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs etcd (package etcd-server)")


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    made = Etcd(tmp_path_factory.mktemp("etcd"))
    yield made
    made.kill()


@pytest.fixture
def begin(etcd: Etcd, request: pytest.FixtureRequest) -> Callable[[int], EtcdState]:
    """A host's state, to be closed; each test has a pod of its own."""
    pod = request.node.name.replace("_", "-")[:60]
    return lambda host: EtcdState((etcd.url,), pod, host, HOSTS, timeout_s=5)


@pytest.fixture
def connect(begin: Callable[[int], EtcdState]) -> Iterator[Callable[[int], EtcdState]]:
    """The same, closed after the test."""
    with ExitStack() as stack:
        yield lambda host: stack.enter_context(begin(host))


class Running:
    """All members, each with a NIC and an instance, on a clock that tests move."""

    def __init__(self, states: list[EtcdState]) -> None:
        self.now_s = 0.0
        self.states = states
        self.members = [Member(state, clock=lambda: self.now_s) for state in states]
        self.reports = [Report((nic(host),), (wants(host, 0, 10),)) for host in range(HOSTS)]
        self.tables = [member.leadership.table for member in self.members]

    def run(self, steps: int) -> None:
        for _ in range(steps):
            for host, member in enumerate(self.members):
                self.tables[host] = member.step(self.reports[host])
            self.now_s += STEP_S


def test_a_host_reads_what_the_others_said_last(connect: Callable[[int], EtcdState]) -> None:
    ours, theirs = connect(0), connect(1)
    theirs.report(Report((replace(nic(1), measured=1),)))
    first = ours.look(lambda: 0.0).beats
    theirs.report(Report((replace(nic(1), measured=2),)))
    assert ours.look(lambda: 0.0).beats[1] > first[1]
    assert ours.reports() == {1: Report((replace(nic(1), measured=2),))}


def test_members_agree_and_go_on_after_etcd_was_killed(
    connect: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    pod = Running([connect(0), connect(1)])
    pod.run(8)
    before = list(pod.tables)
    refused = pytest.raises(MissingError, match=f"etcd at {etcd.url}: Connection refused")
    with etcd.killed(), refused:
        pod.run(1)
    pod.reports[1] = Report((nic(1),), (wants(1, 0, 10), wants(1, 1, 10)))
    pod.run(2)
    assert pod.members[0].leadership.standing is Standing.LEADING
    assert [dict(table.assignments).keys() for table in before] == [
        {InstanceId(0, 0), InstanceId(1, 0)}
    ] * HOSTS
    assert pod.tables[0].age > before[0].age
    assert pod.tables[1] == pod.tables[0]
    assert dict(pod.tables[1].assignments)[InstanceId(1, 1)] == DeviceId(1, 0)


def test_junk_is_refused_and_counted_once_and_what_was_said_before_stays(
    connect: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    ours, theirs = connect(0), connect(1)
    theirs.report(Report((nic(1),)))
    ours.look(lambda: 0.0)
    key = theirs._report_key(1)
    with EtcdClient((etcd.url,), 5) as client:
        (found,) = client.read([key]).values
        assert found is not None
        assert client.write(Write(key, b"\xff" * 100, found.revision)).is_written
    for _ in range(2):
        ours.look(lambda: 0.0)
    assert (ours.refused, ours.reports()) == (1, {1: Report((nic(1),))})
    theirs.report(Report())
    ours.look(lambda: 0.0)
    assert ours.reports() == {1: Report()}


def test_a_write_that_was_given_up_does_not_come_late(
    connect: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    state = connect(0)
    state.report(Report())
    key = state._report_key(0)
    late = Write(key, encode_report(Report((nic(0),))), state._revisions[key])
    state.report(Report())
    with EtcdClient((etcd.url,), 5) as client:
        assert not client.write(late).is_written
    state.look(lambda: 0.0)
    assert state.reports() == {0: Report()}


def test_a_host_that_comes_back_goes_on(connect: Callable[[int], EtcdState]) -> None:
    connect(0).report(Report((nic(0),)))
    again = connect(0)
    again.report(Report())
    again.look(lambda: 0.0)
    assert again.reports() == {0: Report()}


def test_another_endpoint_is_asked_where_one_is_gone(etcd: Etcd) -> None:
    with EtcdState(("http://127.0.0.1:1", etcd.url), "two", 0, HOSTS, timeout_s=5) as state:
        state.report(Report())
        assert list(state.look(lambda: 0.0).beats) == [0]


def pod_of(state: EtcdState) -> str:
    return state._prefix.decode().split("/")[1]


def test_a_pod_of_another_number_of_hosts_is_not_joined(
    connect: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    state = connect(0)
    pod = pod_of(state)
    with pytest.raises(ConfigError, match="is of b'2' hosts, not of 3"):
        EtcdState((etcd.url,), pod, 0, 3, timeout_s=5)
    with pytest.raises(MissingError, match="has no host 2"):
        EtcdState((etcd.url,), pod, 2, HOSTS)


def test_a_user_is_not_taken_where_etcd_asks_nobody_who_they_are(etcd: Etcd) -> None:
    """Whoever has set one relies on it."""
    access = EtcdAccess(None, "pod", "password")
    with pytest.raises(ConfigError, match="authentication is not enabled"):
        EtcdState((etcd.url,), "pod", 0, HOSTS, timeout_s=5, access=access)


def test_nobody_waits_for_a_courier_but_until_the_last_word_is_said(
    begin: Callable[[int], EtcdState], connect: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    theirs = connect(1)
    with CourierState(0, lambda: begin(0)) as state:
        (bell,) = state.descriptors()
        waiting = poll()
        waiting.register(bell, POLLIN)
        theirs.report(Report((nic(1),)))
        until(lambda: waiting.poll(5000) and state.look(monotonic).beats.keys() == {1})
        assert state.reports() == {1: Report((nic(1),))}
        with etcd.stopped():
            state.report(Report((nic(0),)))
            began_s = monotonic()
            state.look(monotonic)
            assert monotonic() - began_s < 1, "it asked etcd"
            sleep(0.3)
            # An answer was under way perhaps.
            old = state.look(monotonic)
            sleep(0.3)
            assert state.look(monotonic) == old
        until(lambda: state.look(monotonic).beats.keys() == {0, 1})
        assert state.look(monotonic).began_s > began_s
        state.report(Report())
        state.publish(Table(64))
    look = theirs.look(monotonic)
    assert theirs.reports()[0] == Report()
    assert look.tables == {0: Table(64)}


def test_a_courier_waits_for_etcd_that_does_not_answer_and_not_for_one_that_refuses(
    begin: Callable[[int], EtcdState], etcd: Etcd
) -> None:
    with etcd.killed(), ExitStack() as stack:
        state = stack.enter_context(CourierState(0, lambda: begin(0)))
        assert "Connection refused" in state.trouble
        with pytest.raises(MissingError, match="what the pod's hosts say is not known, not reach"):
            state.look(monotonic)
        stack.pop_all()
    with state:
        until(lambda: not state.trouble)
        assert state.look(monotonic).is_resumed
    with begin(0) as other:
        pod, before = pod_of(other), threading.active_count()
        with pytest.raises(ConfigError, match="hosts, not of 3"):
            CourierState(0, lambda: EtcdState((etcd.url,), pod, 0, 3, timeout_s=5))
        assert threading.active_count() == before


def test_a_defect_of_the_courier_is_the_control_threads() -> None:
    pods = iter(["pod"])

    def connect() -> EtcdState:
        """Refused, then a defect."""
        return EtcdState(("http://127.0.0.1:1",), next(pods), 0, HOSTS)

    with CourierState(0, connect) as state, pytest.raises(StopIteration):
        until(lambda: has_looked(state))


def has_looked(state: CourierState) -> bool:
    try:
        state.look(monotonic)
    except MissingError:
        return False
    return True


def until(is_so: Callable[[], object]) -> None:
    end_s = monotonic() + 20
    while not is_so():
        assert monotonic() < end_s


def test_what_is_no_etcd_is_named() -> None:
    with pytest.raises(MissingError, match=r"etcd at http://127.0.0.1:1: Connection refused"):
        EtcdState(("http://127.0.0.1:1",), "pod", 0, HOSTS)
