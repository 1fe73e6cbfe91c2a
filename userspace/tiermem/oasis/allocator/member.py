"""A host's part in the pod's allocator: says how it is, decides if it leads, and obeys.

    member = Member(PodState(area, host=0))
    table = member.step(Report(devices, instances))     # each REPORT_S; at once on failure

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
    """One host; for one thread. `hysteresis` None: a leader leaves loads as they are."""

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

    def step(self, report: Report) -> Table:
        """Tell the others of this host; the table to act on now. NoSpaceError where the
        report is more than a host may have, and what the state's own calls raise."""
        self._state.report(report)
        look = self._state.look(self._clock)
        claim = self.leadership.step(look)
        if claim is not None:
            self._state.publish(claim)
        if self.leadership.standing is Standing.LEADING:
            self._decide(look)
            look = self._state.look(self._clock)
        return self._obedience.obey(look, self._clock())

    def pod(self) -> Pod:
        """The pod as the leader sees it: a dead host's NICs have failed, and its instances
        are gone with it; its SSDs have failed, and keep theirs until they are back."""
        living = self.leadership.living
        reports = self._state.reports()
        devices = [
            one if host in living else replace(one, health=Health.FAILED)
            for host, report in reports.items()
            for one in report.devices
        ]
        instances = [
            one for host, report in reports.items() if host in living for one in report.instances
        ]
        table = self.leadership.table
        return Pod.of(devices, instances, dict(table.assignments), table.loans)

    def _decide(self, look: Look) -> None:
        """Publish a new table where there is something to change, or the last one again where
        it could not be written."""
        pod = self.pod()
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
