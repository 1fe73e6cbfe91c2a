"""Memory of a tier: an arena, all of it in one buffer."""

from __future__ import annotations

from tiermem.layer.arena import Arena
from tiermem.native._arena import ffi
from tiermem.serving.kv.record import PAGE_BYTES


class ArenaRegion:
    """Takes what `arena` has in one piece; `close` it before the arena."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._buffer = arena.allocate(arena.largest_bytes, PAGE_BYTES)

    @property
    def address(self) -> int:
        """In this process."""
        return self._buffer.address

    @property
    def bytes(self) -> int:
        """All of it."""
        return self._buffer.bytes

    @property
    def pace_address(self) -> int:
        """Of the schedule of an emulated tier; 0 where the memory is what it is."""
        return int(ffi.cast("uintptr_t", self._arena.pace))

    def close(self) -> None:
        """Nothing uses it any more."""
        self._buffer.close()
