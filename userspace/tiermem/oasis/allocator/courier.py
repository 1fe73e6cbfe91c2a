"""Between a control thread, which must not wait, and a state that may take long to answer.

The control thread leaves what its host says in an `Exchange`, and is served the last look
at once. A courier carries, in a thread of its own (`courier_state`): writes what was left
there last, reads what all hosts say, and leaves that.

What `leadership` relies on holds as without it:

- a look's moments are those of the reading, whenever it is served, so one that is a lease
  old is believed by nobody, and nobody decides by it (`may_write`);
- a look that is served again says nothing new: whoever judges it twice comes to the same;
- a write that fails, or is overtaken by a later one, is left out, not kept for later. The
  control thread finds it missing in the next look, and leaves it again;
- a write that comes late is as one of a host that was stopped before it: nobody obeys;
- a look after one that failed says so (`Look.is_resumed`): who was silent meanwhile may
  have been so for the same reason.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from tiermem.errors import MissingError, TiermemError
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.leadership import Look, Table
from tiermem.oasis.allocator.member import State

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outage:
    """Why nothing is carried, since when: by the calendar, and by time.monotonic()."""

    error: TiermemError
    since: datetime
    since_s: float

    def __str__(self) -> str:
        return f"not reached since {self.since.isoformat(' ', 'seconds')}: {self.error}"


class Exchange:
    """What is left for the other thread, the last of each kind. outage: None where the last
    round went well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._report: Report | None = None
        self._table: Table | None = None
        self._carried: Table | None = None
        self._arrived: tuple[Look, dict[int, Report]] | None = None
        self._is_served = False
        self._reports: dict[int, Report] = {}
        self.outage: Outage | None = None

    def report(self, report: Report) -> None:
        """Control: have it written, instead of what was left before."""
        with self._lock:
            self._report = report

    def publish(self, table: Table) -> None:
        """Control: have it written, if it is not just being so."""
        with self._lock:
            if table != self._carried:
                self._table = table

    def look(self) -> Look:
        """Control: the last one. MissingError while there has been none."""
        with self._lock:
            if self._arrived is None:
                raise MissingError(f"what the pod's hosts say is not known, {self.outage}")
            look, self._reports = self._arrived
            self._is_served = True
            return look

    def reports(self) -> dict[int, Report]:
        """Control: as of the look that was served last."""
        return self._reports

    def take(self) -> tuple[Report | None, Table | None]:
        """Courier: what there is to write."""
        with self._lock:
            report, self._report = self._report, None
            self._carried, self._table = self._table, None
            return report, self._carried

    def deliver(self, look: Look, reports: dict[int, Report]) -> None:
        """Courier: what was taken is written, and this was read after."""
        with self._lock:
            outage, self.outage = self.outage, None
            self._carried = None
            is_resumed = outage is not None or self._is_resumption_to_be_told()
            self._arrived = replace(look, is_resumed=is_resumed), reports
            self._is_served = False
        if outage is not None:
            _log.warning("the pod's state is there again: %s", outage)

    def _is_resumption_to_be_told(self) -> bool:
        """Whether the look that is replaced, and that nobody saw, was one after an outage."""
        return self._arrived is not None and not self._is_served and self._arrived[0].is_resumed

    def fail(self, error: TiermemError) -> None:
        """Courier: what was taken may be written or not, and nothing was read."""
        with self._lock:
            before, self._carried = self.outage, None
            began = (before.since, before.since_s) if before else (_now(), time.monotonic())
            self.outage = Outage(error, *began)
        if before is None:
            _log.error("the pod's state cannot be reached, all goes on as it is: %s", error)


def _now() -> datetime:
    return datetime.now().astimezone()


class Courier:
    """Carries between an exchange and a state, which is opened when it can be; for one thread.

    state: once it is open.
    """

    def __init__(
        self, exchange: Exchange, connect: Callable[[], State], clock: Callable[[], float]
    ) -> None:
        """clock: of this host, by which looks have their moments."""
        self._exchange, self._connect, self._clock = exchange, connect, clock
        self.state: State | None = None

    def carry(self) -> None:
        """There and back, once: what goes wrong is left in the exchange."""
        report, table = self._exchange.take()
        try:
            if self.state is None:
                self.state = self._connect()
            if table is not None:
                self.state.publish(table)
            if report is not None:
                self.state.report(report)
            look = self.state.look(self._clock)
        except TiermemError as error:
            self._exchange.fail(error)
        else:
            self._exchange.deliver(look, self.state.reports())
