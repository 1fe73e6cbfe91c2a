"""Which hosts of a pool live: a heartbeat each, judged by who looks, on the looker's clock.

Hosts' clocks are not compared. A host is taken for dead when its heartbeat has not
changed for a lease under the eyes of one that looked at both ends of that time. The
lease is the pool's, given when it is made: a host that allowed itself more silence than
others allow it would use what they have taken.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tiermem.layer.pool.directory import Directory, HostWord

LEASE_S = 5.0
"""Of a pool that is made without saying."""
_BEATS_A_LEASE = 5
_BEAT_MAX_S = 1.0


@dataclass(frozen=True, slots=True)
class HostState:
    """A host as it was seen: `silent_s` since its heartbeat last changed under our eyes."""

    word: HostWord
    silent_s: float
    is_dead: bool

    @property
    def in_words(self) -> str:
        """For tables."""
        if self.word.incarnation == 0:
            return "never seen"
        if self.is_dead:
            return "dead"
        return "alive" if self.silent_s == 0 else "silent"


class HostWatch:
    """Looks at heartbeats, as often as `look` is called. `lease_s` is the pool's, unless whoever
    knows which hosts are down sets a shorter one."""

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease_s = directory.shape.lease_s
        self._directory = directory
        self._clock = clock
        self._changed: dict[int, tuple[tuple[int, int], float]] = {}

    def look(self) -> list[HostState]:
        """All hosts; ourselves always alive."""
        now = self._clock()
        states = []
        for word in self._directory.host_words():
            beat = word.heartbeat, word.incarnation
            known = self._changed.get(word.number)
            if known is None or known[0] != beat:
                self._changed[word.number] = beat, now
            silent_s = now - self._changed[word.number][1]
            is_dead = (
                silent_s >= self.lease_s
                and word.incarnation > 0
                and word.number != self._directory.host
            )
            states.append(HostState(word, silent_s, is_dead))
        return states

    def dead(self) -> frozenset[int]:
        """The hosts taken for dead now."""
        return frozenset(state.word.number for state in self.look() if state.is_dead)


class Heart:
    """Beats for this host in a thread of its own, until stopped.

    `directory` is the thread's alone.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._lease_s = directory.shape.lease_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_s = 0.0
        self._lost_s = 0.0

    def start(self) -> None:
        """Begin, unless it beats already."""
        if self._thread is None:
            self._directory.beat(time.time_ns())
            self._last_s = _running_s()
            self._thread = threading.Thread(target=self._run, name="pool-heart", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(min(self._lease_s / _BEATS_A_LEASE, _BEAT_MAX_S)):
            self._directory.beat(time.time_ns())
            now_s = _running_s()
            self._lost_s = max(self._lost_s, self._silent_s(now_s))
            self._last_s = now_s

    @property
    def lost_s(self) -> float:
        """A silence so long that others may have taken this host for dead, or 0: what it held
        may not be there any more. It is seen before the thread has run again."""
        if self._thread is None:
            return self._lost_s
        return max(self._lost_s, self._silent_s(_running_s()))

    def _silent_s(self, now_s: float) -> float:
        silent_s = now_s - self._last_s
        return silent_s if silent_s >= self._lease_s else 0.0

    def stop(self) -> None:
        """End, and wait for it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _running_s() -> float:
    """It goes on while the machine sleeps, as others' clocks do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
