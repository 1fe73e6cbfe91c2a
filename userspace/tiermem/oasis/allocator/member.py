"""A host's part in the pod's allocator: says how it is, decides if it leads, and obeys.

    member = Member(PodState(area, host=0))
    table = member.step(Report(devices, instances))     # each REPORT_S; at once on failure
    table = member.look()                               # between, as often as failures matter

What is to be done for the host's own instances and devices follows from the table: who
uses which device, and whose MACs a NIC has borrowed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from tiermem.oasis.allocator.decisions import decide
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.leadership import (
    LEASE_S,
    Leadership,
    Look,
    Obedience,
    Standing,
    Table,
)
from tiermem.oasis.allocator.pod import Health, Pod
from tiermem.oasis.allocator.rebalance import Hysteresis

BALANCE = Hysteresis()


class State(Protocol):
    """Where hosts tell each other: an area of the pool (`state.PodState`), or etcd
    (`etcd_state.EtcdState`)."""

    @property
    def host(self) -> int:
        """This one's number."""

    def report(self, report: Report) -> None:
        """Say how this host is, and that it lives."""

    def publish(self, table: Table) -> None:
        """Say what this host claims or has decided."""

    def look(self, clock: Callable[[], float]) -> Look:
        """What all hosts say, and when that was read."""

    def reports(self) -> dict[int, Report]:
        """Of the hosts that have ever said something, as of the last `look`."""


class Member:
    """One host; for one thread. `hysteresis` None: a leader leaves loads as they are.

    has_news: whether the last look found that a host has said something, or that one died.
    """

    def __init__(
        self,
        state: State,
        *,
        lease_s: float = LEASE_S,
        hysteresis: Hysteresis | None = BALANCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state, self._clock, self._hysteresis = state, clock, hysteresis
        self.leadership = Leadership(state.host, lease_s)
        self._obedience = Obedience(lease_s)
        self.has_news = False
        self._seen: object = None
        self._decided_on: object = None

    def step(self, report: Report) -> Table:
        """Tell the others of this host; the table to act on now. NoSpaceError where the
        report is more than a host may have, and what the state's own calls raise."""
        self._state.report(report)
        return self._act(is_due=True)

    def look(self) -> Table:
        """See what the others say; a leader decides if that changes who can use what. The
        table to act on now."""
        return self._act(is_due=False)

    def _act(self, *, is_due: bool) -> Table:
        look = self._state.look(self._clock)
        claim = self.leadership.step(look)
        seen = look.beats, self.leadership.living
        self.has_news, self._seen = seen != self._seen, seen
        if claim is not None:
            self._state.publish(claim)
        if self.leadership.standing is Standing.LEADING and (is_due or self._is_urgent()):
            self._decide(look)
            look = self._state.look(self._clock)
        return self._obedience.obey(look, self._clock())

    def pod(self) -> Pod:
        """The pod as the leader sees it: a dead host's NICs have failed, and its instances
        are gone with it; its SSDs have failed, and keep theirs until they are back. So has
        what does not answer any one of the hosts that live."""
        living = self.leadership.living
        reports = self._state.reports()
        silent = {one for host in living & reports.keys() for one in reports[host].unreachable}
        devices = [
            one if host in living and one.id not in silent else replace(one, health=Health.FAILED)
            for host, report in reports.items()
            for one in report.devices
        ]
        instances = [
            one for host, report in reports.items() if host in living for one in report.instances
        ]
        table = self.leadership.table
        return Pod.of(devices, instances, dict(table.assignments), table.loans)

    def lives(self) -> dict[int, int]:
        """Of the hosts that live, which life of theirs it is."""
        living = self.leadership.living
        return {host: one.life for host, one in self._state.reports().items() if host in living}

    def _is_urgent(self) -> bool:
        """Whether more than telemetry is another since the last decision."""
        return self.has_news and _situation(self.pod()) != self._decided_on

    def _decide(self, look: Look) -> None:
        """Publish a new table where there is something to change, or the last one again where
        it could not be written."""
        pod = self.pod()
        self._decided_on = _situation(pod)
        after = pod.after(decide(pod, self._hysteresis))
        table = self.leadership.table
        assignments, loans = tuple(after.assignments.items()), after.loans
        is_own = table.decided_term == table.term
        is_new = not is_own or (assignments, loans) != (table.assignments, table.loans)
        if not self.leadership.may_write(self._clock()):
            return
        if is_new:
            self._state.publish(self.leadership.decide(assignments, loans))
        elif look.tables.get(self._state.host) != table:
            self._state.publish(table)


def _situation(pod: Pod) -> object:
    """What decides who can use what, without how loaded devices are."""
    return (
        [(one.id, one.health) for one in pod.devices.values()],
        [(one.id, one.wish) for one in pod.instances.values()],
    )
