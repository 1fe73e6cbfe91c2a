"""Ghost containers kept ready: empty ones, into which a process can be restored at once.

Making one costs more than restoring into it. `take` never waits for one to be ready:
it makes one where none is left. `refill` is for the quiet time afterwards.
"""

from __future__ import annotations

import threading
from collections import deque

from tiermem.cxlfork.restore import Ghost
from tiermem.cxlfork.restoring.cgroups import Cgroups


class Ghosts:
    """At least `wanted` of them after each `refill`. May be used by several threads."""

    def __init__(self, wanted: int, cgroups: Cgroups) -> None:
        self.wanted = wanted
        self._cgroups = cgroups
        self._ready: deque[Ghost] = deque()
        self._lock = threading.Lock()
        self._is_open = True

    @property
    def ready(self) -> int:
        """How many there are."""
        return len(self._ready)

    def take(self) -> Ghost:
        """One that lives; it is the caller's now."""
        with self._lock:
            while self._ready:
                ghost = self._ready.popleft()
                if ghost.is_alive():
                    return ghost
                ghost.close()
        return self._make()

    def _make(self) -> Ghost:
        cgroup = self._cgroups.make()
        try:
            return Ghost(cgroup)
        except BaseException:
            if cgroup is not None:
                cgroup.remove()
            raise

    def refill(self) -> None:
        """Make those that are missing."""
        while self._is_open and self.ready < self.wanted:
            ghost = self._make()
            with self._lock:
                if self._is_open:
                    self._ready.append(ghost)
                    continue
            ghost.close()

    def close(self) -> None:
        """End all that were not taken."""
        with self._lock:
            self._is_open = False
            for ghost in self._ready:
                ghost.close()
            self._ready.clear()
