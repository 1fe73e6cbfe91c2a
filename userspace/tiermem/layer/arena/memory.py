"""What is behind an arena: private memory of some nodes, all of it there; or a pool's area."""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection
from contextlib import suppress
from typing import Protocol

from tiermem.errors import KernelError, NoSpaceError, TiermemError
from tiermem.layer.arena.choice import check_allowed
from tiermem.layer.arena.huge import HUGE_BYTES
from tiermem.layer.arena.huge import huge_bytes as read_huge_bytes
from tiermem.layer.arena.room import room_bytes
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.placement import bind
from tiermem.layer.pool import Area
from tiermem.layer.sysfs import Tree
from tiermem.native._arena import ffi, lib

# Between two looks at how much room there still is.
_STEP_BYTES = 256 << 20
# Zeros in a forked child: it neither takes memory of its own nor makes us copy ours.
_MADV_WIPEONFORK = 18


class Memory(Protocol):
    """`bytes` at `address`. is_coherent: what one host stores, all who use it see."""

    address: int
    bytes: int
    is_coherent: bool

    def huge_bytes(self) -> int | None:
        """How much of it is in huge pages; None: that cannot be said."""

    def close(self) -> None:
        """Nobody uses it any more."""


class BoundMemory:
    """Anonymous memory of this process on `nodes`, touched, in huge pages where there are any."""

    is_coherent = True

    def __init__(self, size_bytes: int, nodes: Collection[int], tree: Tree) -> None:
        """NoSpaceError where the nodes or the control group have no room; then none is taken."""
        check_allowed(nodes, tree)
        self.bytes = size_bytes
        self._mapped_bytes = -(-size_bytes // PAGE_BYTES) * PAGE_BYTES
        self._nodes, self._tree = nodes, tree
        self._check_room(self._mapped_bytes)
        # With a page on either side, so that the kernel joins it to no neighbour.
        self._map = _reserve(self._mapped_bytes + HUGE_BYTES + 2 * PAGE_BYTES)
        start = _address_of(self._map)
        self.address = -(-(start + PAGE_BYTES) // HUGE_BYTES) * HUGE_BYTES
        self._advise(self.address - start)
        try:
            bind(self.address, self._mapped_bytes, nodes)
            self._populate()
        except BaseException:
            self._map.close()
            raise

    def _advise(self, offset: int) -> None:
        self._map.madvise(_MADV_WIPEONFORK, offset, self._mapped_bytes)
        with suppress(OSError):  # a kernel without huge pages
            self._map.madvise(mmap.MADV_HUGEPAGE, offset, self._mapped_bytes)

    def _populate(self) -> None:
        done = 0
        while done < self._mapped_bytes:
            self._check_room(self._mapped_bytes - done)
            step = min(_STEP_BYTES, self._mapped_bytes - done)
            status = lib.arena_populate(self.address + done, step)
            if status < 0:
                raise KernelError(
                    f"have {step} bytes on nodes {sorted(self._nodes)} in memory "
                    "(MADV_POPULATE_WRITE, Linux 5.14 and newer)",
                    -status,
                )
            done += step

    def _check_room(self, wanted_bytes: int) -> None:
        room = room_bytes(self._nodes, self._tree)
        if wanted_bytes > room:
            raise NoSpaceError(
                f"nodes {sorted(self._nodes)}: {wanted_bytes} bytes are wanted, there is room "
                f"for {room} on them and in this process' control group"
            )

    def huge_bytes(self) -> int | None:
        """As the kernel says now: pages may be split or joined after they were touched."""
        return read_huge_bytes(os.getpid(), self.address, self._mapped_bytes)

    def close(self) -> None:
        """Unmap."""
        self._map.close()


class AreaMemory:
    """An area of a pool, which this process holds. Hosts' caches do not know of each other."""

    is_coherent = False

    def __init__(self, area: Area) -> None:
        self._area = area
        self.address, self.bytes = area.address, area.bytes

    def huge_bytes(self) -> int | None:
        """Not said of pools."""
        return None

    def close(self) -> None:
        """Do not hold it any more; it stays in the pool until it is removed."""
        self._area.close()


def _reserve(size_bytes: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        code = getattr(error, "errno", 0)
        if code:
            raise KernelError(f"map {size_bytes} bytes", code) from None
        raise TiermemError(f"map {size_bytes} bytes: {error}") from None


def _address_of(buffer: mmap.mmap) -> int:
    pinned = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
    address = int(ffi.cast("uintptr_t", pinned))
    ffi.release(pinned)
    return address
