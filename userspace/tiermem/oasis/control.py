"""The one thread of oasisd that touches the pool's rows, links, and interfaces.

It steps when it is time to, and at once when one of the engines' files can be read, or the
state's, without the event loop of the API in between. What the API asks for is done between
two steps.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")
Step = Callable[[bool], None]
"""Called with whether it is time to say how this host is; else only to look at the others."""


class Control:
    """step: each `look_s`, or when one of `news` can be read; and with True each `report_s`, or
    when one of `descriptors` can be. end: last of all, in the same thread. finished: done when
    the thread is, with what it ended by."""

    def __init__(
        self,
        step: Step,
        end: Callable[[], None],
        descriptors: Iterable[int],
        *,
        news: Iterable[int] = (),
        look_s: float,
        report_s: float,
    ) -> None:
        self._step, self._end = step, end
        self._look_s, self._report_s = look_s, report_s
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._news = frozenset(news)
        for descriptor in (self._bell, *descriptors, *self._news):
            self._poll.register(descriptor, select.POLLIN)
        self._asked: deque[Callable[[], None]] = deque()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="control")
        self.finished: Future[None] = Future()

    @property
    def is_started(self) -> bool:
        """Whether `start` was called, however it went on."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call(self, ask: Callable[[], Result]) -> Future[Result]:
        """Have `ask` called between two steps, and a step follow it at once."""
        answer: Future[Result] = Future()

        def do() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        self._asked.append(do)
        self._ring()
        return answer

    def stop(self) -> None:
        """End it, and wait."""
        self._is_stopping = True
        self._ring()
        self._thread.join()

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        try:
            try:
                self._steps()
            finally:
                self._is_stopping = True
                self._end()
        except BaseException as error:
            self.finished.set_exception(error)
        else:
            self.finished.set_result(None)

    def _steps(self) -> None:
        report_s = time.monotonic()
        while not self._is_stopping:
            due_s = min(report_s, time.monotonic() + self._look_s)
            has_rung = self._wait(due_s - time.monotonic())
            while self._asked:
                self._asked.popleft()()
            is_due = has_rung or time.monotonic() >= report_s
            self._step(is_due)
            if time.monotonic() >= report_s:
                report_s = time.monotonic() + self._report_s

    def _wait(self, most_s: float) -> bool:
        """Whether something rang that a report follows."""
        polled: list[tuple[int, Any]] = self._poll.poll(max(0.0, most_s) * 1000)
        rung = {descriptor for descriptor, _ in polled}
        if self._bell in rung:
            os.eventfd_read(self._bell)
        return not rung <= self._news
