"""A NIC of the pod as the instances of this host reach it: the other end of a link.

Its memory is held as soon as the NIC may be needed, so that it can be used within a
millisecond. The thread that carries frames is there from the first instance that uses it to
the end: a link whose one end has stopped is of no use to another, so its host makes a new one.
"""

from __future__ import annotations

import contextlib

from tiermem.errors import TiermemError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.link_areas import LinkName, drop_area, find_area, is_current
from tiermem.oasis.net.counters import Counters
from tiermem.oasis.net.frontend import Frontend, InstanceState, Peer, Watch
from tiermem.oasis.net.pace import Pace
from tiermem.oasis.net.tap import Tap
from tiermem.oasis.net.totals import ZERO


class Uplink:
    """For the engine's thread. users: how many instances use it. unwanted_since_s: when it was
    of no use first, by the monotonic clock; None while it is."""

    def __init__(self, pool: Pool, name: LinkName, area: Area, pace: Pace, watch: Watch) -> None:
        self.name = name
        self.users = 0
        self.unwanted_since_s: float | None = None
        self._pool, self._area = pool, area
        self._pace, self._watch = pace, watch
        self._frontend: Frontend | None = None

    @classmethod
    def find(cls, pool: Pool, name: LinkName, pace: Pace, watch: Watch) -> Uplink | None:
        """None where the NIC's host has not made the link (yet)."""
        area = find_area(pool, name)
        return None if area is None else cls(pool, name, area, pace, watch)

    @property
    def peer(self) -> Peer:
        """How the NIC's host is, as far as it is listened to."""
        return Peer.WELL if self._frontend is None else self._frontend.peer

    @property
    def is_lost(self) -> bool:
        """Its NIC cannot be used from here, whatever its host says elsewhere."""
        return self.peer is not Peer.WELL

    @property
    def is_fresh(self) -> bool:
        """Whether it was never used: then it may be given up, and found once more."""
        return self._frontend is None

    @property
    def generation(self) -> int:
        """Of the link's memory."""
        return self._area.generation

    @property
    def is_current(self) -> bool:
        """Whether it is still what its NIC's host serves."""
        return is_current(self._pool, self._area)

    def add(self, tap: Tap, unsent: bytes = b"") -> int:
        """Carry the frames of that TAP, those that another NIC did not send first; its number
        here. TiermemError."""
        if self._frontend is None:
            self._frontend = Frontend(self._area, self._area.generation, self._pace, self._watch)
        number = self._frontend.add(tap)
        self.users += 1
        if unsent:
            with contextlib.suppress(TiermemError):  # lost, as frames may be
                self._frontend.send_again(number, unsent)
        return number

    def remove(self, number: int) -> bytes:
        """Not any longer. What of its frames was lost with the NIC, where it is lost."""
        assert self._frontend is not None  # it was added there
        self._frontend.remove(number)
        self.users -= 1
        return self._frontend.unsent(number) if self.is_lost else b""

    def state(self, number: int) -> InstanceState:
        """Where it stands with the NIC's host."""
        return InstanceState.FREE if self._frontend is None else self._frontend.state(number)

    def counters(self) -> Counters:
        """Since this uplink was found."""
        return ZERO if self._frontend is None else self._frontend.counters()

    def close(self) -> None:
        """It must have no users. Whoever wants the NIC again waits for a new link."""
        if self._frontend is None:
            self._area.close()
        else:
            self._frontend.close()
            self._frontend = None
            drop_area(self._pool, self._area)
