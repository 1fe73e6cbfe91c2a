"""Records of KV blocks in memory of one tier, as many as fit, none more.

Records lie in places of one size, and nothing else is taken: what is copied in, read from
SSD or written to it is so in its place. A block is pinned while anybody uses its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tiermem.errors import NoSpaceError
from tiermem.native._kv import ffi
from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.record import Header, RecordShape, memory_at, pack_header


class Region(Protocol):
    """Memory that the tier lies in; it begins at a page. pace: a schedule for copies, or NULL."""

    @property
    def address(self) -> int:
        """In this process."""

    @property
    def bytes(self) -> int:
        """All of it may be used."""

    @property
    def pace_address(self) -> int:
        """Of a `struct copy_pace`; 0: as fast as it is."""


@dataclass(slots=True, eq=False)
class Block:
    """A block in its place. Not ready: it is being filled, and nobody finds it."""

    key: bytes
    tier: TierName
    place: int
    address: int
    depth: int
    sums: tuple[int, ...] = ()
    pins: int = 0
    is_ready: bool = False
    is_gone: bool = False
    is_behind: bool = False


class MemoryTier:
    """Threads may share it. All calls are short: nothing is copied under its lock."""

    def __init__(
        self,
        region: Region,
        shape: RecordShape,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        tier: TierName = "memory",
        below: MemoryTier | None = None,
    ) -> None:
        """below: what takes blocks before this one lets them go. NoSpaceError."""
        self.tier, self.shape = tier, shape
        self.blocks_max = region.bytes // shape.bytes
        if self.blocks_max < 1:
            raise NoSpaceError(
                f"{tier}: {region.bytes} bytes: a KV block of this engine takes {shape.bytes}"
            )
        self._region, self._below = region, below
        self._policy = policy
        self._counters = counters
        self._lock = threading.Lock()
        self._blocks: dict[bytes, Block] = {}
        self._free = list(range(self.blocks_max - 1, -1, -1))

    @property
    def pace(self) -> Any:
        """For copies into and out of it."""
        return ffi.cast("struct copy_pace *", self._region.pace_address)

    @property
    def used_blocks(self) -> int:
        """Those that are being filled included."""
        return self.blocks_max - len(self._free)

    def has(self, key: bytes) -> bool:
        """Whether it would be found now."""
        with self._lock:
            block = self._blocks.get(key)
            return block is not None and block.is_ready

    def pin(self, key: bytes) -> Block | None:
        """One, held until `unpin`; it does not count as used."""
        with self._lock:
            block = self._blocks.get(key)
            if block is None or not block.is_ready:
                return None
            block.pins += 1
            return block

    def use(self, block: Block) -> None:
        """A pinned one was asked for."""
        with self._lock:
            if not block.is_gone:
                self._policy.use(block.key)

    def unpin(self, blocks: Sequence[Block]) -> None:
        """Not held any more."""
        with self._lock:
            for block in blocks:
                block.pins -= 1
                if block.is_gone and not block.pins:
                    self._free.append(block.place)

    def reserve(self, key: bytes, depth: int) -> Block | None:
        """A place to fill, held until `commit` or `abandon`. depth: how many blocks precede it.

        None where the block is there or is being filled, and where every place is in use.
        """
        with self._lock:
            if key in self._blocks:
                return None
            place = self._take_place()
            if place is None:
                self._counters.add(self.tier, "refused")
                return None
            address = self._region.address + place * self.shape.bytes
            block = Block(key, self.tier, place, address, depth, pins=1)
            self._blocks[key] = block
            return block

    def commit(self, block: Block, sums: tuple[int, ...], *, is_behind: bool = False) -> None:
        """It was filled: from now on it is found. It stays pinned, once, for the caller."""
        with self._lock:
            header = pack_header(Header(block.key, time.time_ns(), sums))
            memory_at(block.address, len(header))[:] = header
            block.sums, block.is_ready, block.is_behind = sums, True, is_behind
            # What precedes makes it dearer: attention reads all of it.
            self._policy.insert(block.key, float(block.depth + 1))
            self._counters.add(self.tier, "stored")

    def note_behind(self, key: bytes) -> None:
        """A tier behind memory has it, if it is here."""
        with self._lock:
            if key in self._blocks:
                self._blocks[key].is_behind = True

    def coming(self, count: int) -> list[bytes]:
        """Of the next `count` that go, those that the tier below has not."""
        with self._lock:
            keys = self._policy.coming(count)
        return [key for key in keys if self._below is not None and not self._below.has(key)]

    def abandon(self, block: Block) -> None:
        """It was not filled."""
        with self._lock:
            del self._blocks[block.key]
            self._free.append(block.place)

    def drop(self, block: Block) -> bool:
        """It is not what was stored: never found again. Its place is free when unpinned.

        False: it was gone already.
        """
        with self._lock:
            if block.is_gone or not block.is_ready:
                return False
            block.is_gone = True
            del self._blocks[block.key]
            self._policy.remove(block.key)
            if not block.pins:
                self._free.append(block.place)
            return True

    def clear(self) -> None:
        """Nothing that is ready is found any more; what is pinned goes when it is not."""
        with self._lock:
            ready = [block for block in self._blocks.values() if block.is_ready]
        for block in ready:
            self.drop(block)

    def _take_place(self) -> int | None:
        if not self._free:
            victim = self._policy.victim(self._may_go)
            if victim is None:
                return None
            block = self._blocks[victim]
            self._counters.add(self.tier, "evicted")
            if not block.is_behind and not (self._below and self._below.has(victim)):
                self._counters.add(self.tier, "lost")
            self._let_go(block)
        return self._free.pop()

    def _let_go(self, block: Block) -> None:
        block.is_gone = True
        del self._blocks[block.key]
        self._free.append(block.place)

    def _may_go(self, key: bytes) -> bool:
        block = self._blocks[key]
        return block.is_ready and not block.pins
