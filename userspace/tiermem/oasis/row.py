"""Rows in an area of the pool: what one host says over and over, and all others read.

    row = Row(memory, at=0, copy_bytes=256)     # of an area's `RowMemory`
    row.publish(b"12345678")                    # its one writer
    row.read()                                  # anybody: the newest whole one

native/row.h has the protocol: two copies, written in turn, with checksums. A row has
one writer, which is one thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.errors import DamagedError, NoSpaceError, TiermemError
from tiermem.layer.pool import Area
from tiermem.native._allocator import ffi, lib
from tiermem.oasis.host_memory import HostMemory

LINE_BYTES = int(lib.ROW_LINE_BYTES)
HEAD_BYTES = int(lib.ROW_HEAD_BYTES)
WORD_BYTES = 8


def copy_bytes_for(most: int) -> int:
    """What each of the two copies of a row of up to `most` bytes takes."""
    return -(-(HEAD_BYTES + most) // LINE_BYTES) * LINE_BYTES


class RowMemory(HostMemory):
    """An area's bytes, for its rows; the pool cannot be closed before it is."""

    def __init__(self, area: Area) -> None:
        super().__init__(ffi, area)
        self.name, self.generation = area.entry.name, area.generation


@dataclass(frozen=True, slots=True)
class Said:
    """A row as it was found; `sequence` is another one each time it is written."""

    sequence: int
    data: bytes


class Row:
    """One of an area's rows. TiermemError where it does not lie in the area.

    torn: how many copies were found half-written, and passed over.
    """

    def __init__(self, memory: RowMemory, at: int, copy_bytes: int) -> None:
        if at < 0 or at % LINE_BYTES or copy_bytes % LINE_BYTES or copy_bytes <= HEAD_BYTES:
            raise TiermemError(
                f"a row at {at} of {memory.name!r}, of two copies of {copy_bytes} bytes: "
                f"multiples of {LINE_BYTES} are allowed"
            )
        if at + 2 * copy_bytes > memory.bytes:
            raise NoSpaceError(
                f"a row at {at} of {memory.name!r}, of two copies of {copy_bytes} bytes: "
                f"the area has {memory.bytes}"
            )
        self._name = f"the row at {at} of {memory.name!r}"
        self.room = copy_bytes - HEAD_BYTES
        self._memory = memory
        self._place = ffi.new("struct row_place *")
        self._place.memory, self._place.at = memory.raw, at
        self._place.copy_bytes, self._place.generation = copy_bytes, memory.generation
        self._words = ffi.new("uint64_t[]", self.room // WORD_BYTES)
        self._head, self._torn = ffi.new("struct row_head *"), ffi.new("uint64_t *")
        self._last = 0
        self._is_writing = False

    @property
    def torn(self) -> int:
        """See the class."""
        return int(self._torn[0])

    def publish(self, data: bytes) -> None:
        """Have every host find this instead of what was said before. NoSpaceError; a row
        that this host's earlier lives wrote goes on from there."""
        if len(data) > self.room or len(data) % WORD_BYTES:
            raise NoSpaceError(
                f"{self._name}: {len(data)} bytes: a multiple of {WORD_BYTES} up to "
                f"{self.room} is allowed"
            )
        if not self._is_writing:
            self._is_writing = True
            self._resume()
        self._last += 1
        ffi.memmove(self._words, data, len(data))
        lib.row_publish(self._place, self._last, self._words, len(data))

    def _resume(self) -> None:
        try:
            self.read()
        except DamagedError:
            # Died in its very first row, or somebody else wrote here: begin anew.
            self._last = 0

    def newest(self) -> int:
        """The number that the newest row has or is getting, 0: none. Much cheaper than to read
        it; whoever has read that of the same number has missed nothing."""
        return int(lib.row_newest(self._place))

    def read(self) -> Said | None:
        """The newest whole one; None where nothing was ever written. DamagedError where both
        copies are not whole, or are older than what was read before: of no honest writer."""
        found = lib.row_read(self._place, self._head, self._words, self._torn)
        if found == lib.ROW_NONE:
            return None
        sequence = int(self._head.sequence)
        if found != lib.ROW_OK or sequence < self._last:
            raise DamagedError(
                f"{self._name}: "
                + ("is not whole" if found != lib.ROW_OK else f"goes back to {sequence}")
            )
        self._last = sequence
        return Said(sequence, bytes(ffi.buffer(self._words, int(self._head.bytes))))
