"""A lock at which whoever computes goes before whoever works ahead.

Python's own locks are not fair: a thread that gives one back and takes it again at once
mostly gets it before those that wait for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Held by one thread at a time."""

    def __init__(self) -> None:
        self._held = threading.Lock()
        self._changed = threading.Condition()
        self._in_a_hurry = 0

    @contextmanager
    def first(self) -> Iterator[None]:
        """Behind those alone that have it now, or asked for it so before."""
        with self._changed:
            self._in_a_hurry += 1
        try:
            with self._held:
                yield
        finally:
            with self._changed:
                self._in_a_hurry -= 1
                if not self._in_a_hurry:
                    self._changed.notify_all()

    @contextmanager
    def last(self) -> Iterator[None]:
        """When nobody waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_a_hurry)
        with self._held:
            yield
