"""A thread that copies behind an engine's back, in the order in which it is told to."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Ticket:
    """Of one job: `wait` until it was done. is_broken: it ended by an error, which was logged."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self.is_broken = False

    @property
    def is_over(self) -> bool:
        """Whether it was done, in whatever way."""
        return self._is_over.is_set()

    def wait(self) -> None:
        """Jobs have no end that depends on others: there is no time limit."""
        self._is_over.wait()

    def end(self, *, is_broken: bool = False) -> None:
        """By the copier."""
        self.is_broken = is_broken
        self._is_over.set()


class Copier:
    """`close` it: what was submitted before is done first."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Ticket] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> Ticket:
        """After all that was submitted before it."""
        ticket = Ticket()
        self._jobs.put((job, ticket))
        return ticket

    def close(self) -> None:
        """Once."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (next_one := self._jobs.get()) is not None:
            job, ticket = next_one
            try:
                job()
                ticket.end()
            except Exception:
                log.exception("a copy of KV blocks ended by an error")
                ticket.end(is_broken=True)
