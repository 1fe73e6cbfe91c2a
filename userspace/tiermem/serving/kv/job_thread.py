"""A thread that works behind an engine's back, in the order in which it is told to."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Ticket:
    """Of one job: `wait` until it was done, or ended by an error, which was logged."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def wait(self) -> None:
        """Jobs have no end that depends on others: there is no time limit."""
        self._is_over.wait()

    def end(self) -> None:
        """By the thread."""
        self._is_over.set()


class JobThread:
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
            except Exception:
                log.exception("what follows a copy of KV blocks ended by an error")
            finally:
                ticket.end()
