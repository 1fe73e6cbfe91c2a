"""What an instance's host and an SSD's host tell each other of the instance's slice.

Both hold the area that has the instance's link; its last bytes are two rows, one writer each
(native/storage_claim.h). What the peer has written is checked, and counts for the slices of
its own instance only: whose that is says the area's name, which the SSD's host has made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from tiermem.errors import DamagedError
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib
from tiermem.native.struct_dtype import struct_dtype
from tiermem.oasis.row import LINE_BYTES, Row, RowMemory, copy_bytes_for
from tiermem.oasis.storage.link import LinkSize

CLAIM_BYTES: int = lib.STORAGE_CLAIM_BYTES
_CLAIM = struct_dtype(ffi, "storage_claim")
_GRANT = struct_dtype(ffi, "storage_grant")


class Wish(IntEnum):
    """enum storage_claim_wish."""

    NEW = lib.STORAGE_WANTS_NEW
    ITS = lib.STORAGE_WANTS_ITS
    NONE = lib.STORAGE_WANTS_NONE


class Outcome(IntEnum):
    """enum storage_grant_state."""

    WAIT = lib.STORAGE_GRANT_WAIT
    SERVED = lib.STORAGE_GRANT_SERVED
    GONE = lib.STORAGE_GRANT_GONE
    NO_ROOM = lib.STORAGE_GRANT_NO_ROOM
    TOO_MANY = lib.STORAGE_GRANT_TOO_MANY
    WRONG_SIZE = lib.STORAGE_GRANT_WRONG_SIZE


@dataclass(frozen=True, slots=True)
class Claim:
    """What an instance's host wants of the slice with that number, of so many bytes."""

    id: int
    bytes: int
    wish: Wish


@dataclass(frozen=True, slots=True)
class Grant:
    """What became of the claim with that number and wish."""

    id: int
    wish: Wish
    outcome: Outcome
    is_write_through: bool = False

    def answers(self, claim: Claim) -> bool:
        """Whether it is of that claim."""
        return (self.id, self.wish) == (claim.id, claim.wish)


def area_bytes(size: LinkSize) -> int:
    """Of an area with a link of that size and the rows."""
    return size.bytes + CLAIM_BYTES


class ClaimRows:
    """The two rows, on either host; for one thread. refused: how often a row was read that no
    honest host writes."""

    def __init__(self, area: Area) -> None:
        """NoSpaceError where the area has no room for them."""
        self.refused = 0
        self._memory = RowMemory(area)
        at = (area.bytes - CLAIM_BYTES) // LINE_BYTES * LINE_BYTES
        try:
            self._claims = Row(
                self._memory, at + lib.STORAGE_CLAIM_AT, copy_bytes_for(_CLAIM.itemsize)
            )
            self._grants = Row(
                self._memory, at + lib.STORAGE_GRANT_AT, copy_bytes_for(_GRANT.itemsize)
            )
        except BaseException:
            self._memory.close()
            raise

    def claim(self, claim: Claim) -> None:
        """By the instance's host."""
        row = np.array([(claim.id, claim.bytes, claim.wish, 0)], _CLAIM)
        self._claims.publish(row.tobytes())

    def claimed(self) -> Claim | None:
        """What the instance's host wants; None: nothing yet, or nothing that may be."""
        row = self._read(self._claims, _CLAIM)
        try:
            return (
                None if row is None else Claim(int(row["id"]), int(row["bytes"]), Wish(row["wish"]))
            )
        except ValueError:
            self.refused += 1
            return None

    def grant(self, grant: Grant) -> None:
        """By the SSD's host."""
        row = np.array([(grant.id, grant.outcome, grant.wish, grant.is_write_through, 0)], _GRANT)
        self._grants.publish(row.tobytes())

    def granted(self) -> Grant | None:
        """What the SSD's host has answered last; None as above."""
        row = self._read(self._grants, _GRANT)
        if row is None:
            return None
        try:
            wish, outcome = Wish(row["wish"]), Outcome(row["state"])
        except ValueError:
            self.refused += 1
            return None
        return Grant(int(row["id"]), wish, outcome, bool(row["is_write_through"]))

    def _read(self, row: Row, dtype: np.dtype[np.void]) -> Any:
        try:
            said = row.read()
        except DamagedError:
            self.refused += 1
            return None
        if said is None:
            return None
        if len(said.data) != dtype.itemsize:
            self.refused += 1
            return None
        return np.frombuffer(said.data, dtype)[0]

    def close(self) -> None:
        """Before the area is."""
        self._memory.close()
