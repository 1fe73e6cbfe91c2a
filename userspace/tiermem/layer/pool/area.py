"""An area: an extent that hosts go on writing to, for what they tell each other.

Published as zeros; its bytes have no checksum. Each of its lines has one writer at a
time, who writes it back, and readers who drop it first: who that is, and when, is the
business of those who use it (oasis/channel.py does so).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tiermem.layer.pool.directory import ENTRIES_MAX, HOSTS_MAX, Entry

if TYPE_CHECKING:
    from tiermem.layer.pool.pool import Pool


class Area:
    """An area that this process holds; `close` it, or leave the `with` block."""

    def __init__(self, pool: Pool, entry: Entry) -> None:
        """Of an entry that is held, for what this host's cache has from before to be dropped."""
        self._pool = pool
        self.entry = entry
        self._is_held = True
        self._forget()

    @property
    def address(self) -> int:
        """Where it lies in this process."""
        return self._pool.address_of(self.entry.offset)

    @property
    def bytes(self) -> int:
        """How large it is."""
        return self.entry.bytes

    @property
    def generation(self) -> int:
        """A number that no other area of the pool has or had, and that fits 64 bits."""
        extent = self.entry.extent
        return (extent.generation * HOSTS_MAX + extent.host) * ENTRIES_MAX + extent.entry

    @property
    def view(self) -> memoryview:
        """Its bytes, to be read and written, by way of this host's cache."""
        return self._pool.view_of(self.entry.offset, self.entry.bytes, writable=True)

    def close(self) -> None:
        """Do not hold it any more; its views must not be used after. What this host stored
        is in memory then, and the area is there until it is removed."""
        if self._is_held:
            self._is_held = False
            self._forget()
            self._pool.let_go(self.entry.extent)

    def _forget(self) -> None:
        self._pool.directory.forget(self.entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
