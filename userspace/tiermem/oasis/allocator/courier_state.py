"""A state that answers at once, over one that may take long: etcd, for the control thread.

    with CourierState(0, lambda: EtcdState(...)) as state:
        Member(state)

A thread of its own talks to the state below, as `courier` says: as soon as there is
something to write, and each LOOK_S. It says nothing by itself: what a host whose control
thread has stopped said last stands still, as it must.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Self

from tiermem.errors import ConfigError
from tiermem.oasis.allocator.courier import Courier, Exchange
from tiermem.oasis.allocator.encoding import Report
from tiermem.oasis.allocator.etcd_state import EtcdState
from tiermem.oasis.allocator.leadership import Look, Table

LOOK_S = 0.05
"""Between looks when there is nothing to write: half as long as hosts take to say something."""


class CourierState:
    """A `member.State`; its calls do not wait, but for `close`."""

    def __init__(
        self,
        host: int,
        connect: Callable[[], EtcdState],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Waits for the first answer. ConfigError where that is that it will not do; without
        any it goes on asking, and so it does whatever goes wrong later."""
        self.host = host
        self._exchange = Exchange()
        self._below: EtcdState | None = None
        self._connect = connect
        self._courier = Courier(self._exchange, self._open, clock)
        self._courier.carry()
        outage = self._exchange.outage
        if outage is not None and isinstance(outage.error, ConfigError):
            self._close_below()
            raise outage.error
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._defect: BaseException | None = None
        self._has_work, self._is_closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="courier")
        self._thread.start()

    def _open(self) -> EtcdState:
        self._below = self._connect()
        return self._below

    def _run(self) -> None:
        try:
            while not self._is_closing:
                self._has_work.wait(LOOK_S)
                self._has_work.clear()
                self._courier.carry()
                os.eventfd_write(self._bell, 1)
            if self._exchange.outage is None:
                self._courier.carry()
        except BaseException as error:
            self._defect = error

    def descriptors(self) -> tuple[int, ...]:
        """Can be read when there may be a look that was not served yet."""
        return (self._bell,)

    @property
    def refused(self) -> int:
        """How often a value was found that no honest host writes."""
        return self._below.refused if self._below else 0

    @property
    def trouble(self) -> str:
        """Since when it does not answer, and what was said last; empty where it does."""
        return str(self._exchange.outage or "")

    def report(self, report: Report) -> None:
        """See `member.State`; written soon, or left out."""
        self._exchange.report(report)
        self._has_work.set()

    def publish(self, table: Table) -> None:
        """See `member.State`; written soon, or left out."""
        self._exchange.publish(table)
        self._has_work.set()

    def look(self, clock: Callable[[], float]) -> Look:
        """The last one; `clock` is the one that this was made with. MissingError while there
        has been none."""
        del clock
        if self._defect is not None:
            raise self._defect
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        return self._exchange.look()

    def reports(self) -> dict[int, Report]:
        """Of the hosts that have ever said something, as of the last `look`."""
        return self._exchange.reports()

    def close(self) -> None:
        """Do not use it any more. What was left is written first, where that is answered."""
        self._is_closing = True
        self._has_work.set()
        self._thread.join()
        self._close_below()
        os.close(self._bell)

    def _close_below(self) -> None:
        if self._below is not None:
            self._below.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
