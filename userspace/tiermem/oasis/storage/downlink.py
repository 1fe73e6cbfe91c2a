"""The instance's host's end of its link to an SSD: its memory, and what was claimed there."""

from __future__ import annotations

from typing import Self

from tiermem.errors import TiermemError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.link_areas import LinkName, drop_area, find_area, is_current
from tiermem.oasis.storage.claim import Claim, ClaimRows, Grant


class Downlink:
    """For the volume's thread; area: held until `close`. is_used: a block device has been on
    it, so that another needs another one."""

    def __init__(self, pool: Pool, name: LinkName, area: Area) -> None:
        self.name, self.area = name, area
        self.is_used = False
        self._pool = pool
        self._claimed: Claim | None = None
        self._rows = ClaimRows(area)

    @classmethod
    def find(cls, pool: Pool, name: LinkName, spent: int) -> Self | None:
        """None where the SSD's host has made none (yet), or only the `spent` one."""
        area = find_area(pool, name)
        if area is None:
            return None
        try:
            if area.generation != spent:
                return cls(pool, name, area)
        except TiermemError:
            area.close()
            raise
        area.close()
        return None

    @property
    def is_current(self) -> bool:
        """Whether it is still what the SSD's host serves."""
        return is_current(self._pool, self.area)

    def ask(self, claim: Claim) -> Grant | None:
        """Claim that; the answer to it, once there is one."""
        if claim != self._claimed:
            self._rows.claim(claim)
            self._claimed = claim
        granted = self._rows.granted()
        return granted if granted is not None and granted.answers(claim) else None

    def close(self) -> None:
        """One that was used is of no use any more: its host makes another."""
        self._rows.close()
        if self.is_used:
            drop_area(self._pool, self.area)
        else:
            self.area.close()
