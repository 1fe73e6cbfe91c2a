"""The links that a volume has to its SSD: the one it is served by, and the one that follows it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tiermem.layer.pool import Pool
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.storage.downlink import Downlink

_AGAIN_S = 1.0


class VolumeLinks:
    """For the volume's thread. newest: where claims are made. used: what the block device is
    on; of a device that was taken away still the one by which its slice is given back."""

    def __init__(self, pool: Pool) -> None:
        self.newest: Downlink | None = None
        self.used: Downlink | None = None
        self._pool = pool
        self._spent = 0
        self._look_s = 0.0

    def is_served(self, lives: Mapping[int, int]) -> bool:
        """Whether the life of the SSD's host that serves the device goes on."""
        return _lives_on(self.used, lives)

    def is_answered(self, lives: Mapping[int, int]) -> bool:
        """Whether the one that claims are made to does."""
        return _lives_on(self.newest, lives)

    def find(self, name: LinkName) -> Downlink | None:
        """What that life of the SSD's host serves now; None where it has made nothing yet."""
        newest = self.newest
        if newest is not None and newest.name == name and self._is_current(newest):
            return newest
        if newest is not None and newest is not self.used:
            newest.close()
        spent = self._spent if self.used is None else self.used.area.generation
        self.newest = Downlink.find(self._pool, name, spent)
        return self.newest

    def _is_current(self, link: Downlink) -> bool:
        if time.monotonic() < self._look_s:
            return True
        self._look_s = time.monotonic() + _AGAIN_S
        return link.is_current

    def use(self, link: Downlink) -> None:
        """The block device is on it from now on, and on no other."""
        self.close_used()
        self.used, link.is_used = link, True

    def close_used(self) -> None:
        """The block device is not on it any more."""
        used, self.used = self.used, None
        if used is not None:
            self._spent = used.area.generation
            if used is self.newest:
                self.newest = None
            used.close()

    def close(self) -> None:
        """Of no use, both of them; there is no block device on any."""
        newest, self.newest = self.newest, None
        if newest is not None and newest is not self.used:
            newest.close()
        self.close_used()


def _lives_on(link: Downlink | None, lives: Mapping[int, int]) -> bool:
    return link is not None and lives.get(link.name.device.host) == link.name.life
