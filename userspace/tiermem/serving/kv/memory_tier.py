"""Records of KV blocks in memory of one tier, as many as fit, none more.

Records lie in places of one size, and nothing else is taken: what is copied in, read from
SSD or written to it is so in its place. A block is pinned while anybody uses its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
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
    ) -> None:
        """NoSpaceError where not one record fits."""
        self.tier, self.shape = tier, shape
        # The other memories of the engine, which may have what leaves this one.
        self.others: Sequence[MemoryTier] = ()
        self.blocks_max = region.bytes // shape.bytes
        if self.blocks_max < 1:
            raise NoSpaceError(
                f"{tier}: {region.bytes} bytes: a KV block of this engine takes {shape.bytes}"
            )
        self._region = region
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
            return self._is_there(key)

    def pin(self, key: bytes) -> Block | None:
        """One, held until `unpin`; it does not count as used."""
        return self.pin_all([key])[0]

    def there(self, keys: Iterable[bytes]) -> list[bool]:
        """Of each, whether it would be found now."""
        with self._lock:
            return [self._is_there(key) for key in keys]

    def pin_all(self, keys: Iterable[bytes]) -> list[Block | None]:
        """Of each what is there, held until `unpin`; it does not count as used."""
        with self._lock:
            found = [self._blocks[key] if self._is_there(key) else None for key in keys]
            for block in found:
                if block is not None:
                    block.pins += 1
            return found

    def use(self, keys: Iterable[bytes]) -> None:
        """They were asked for; those that are here stay longer, the last ones longest."""
        with self._lock:
            for key in keys:
                if self._is_there(key):
                    self._policy.use(key)

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
            victim = None if self._free else self._evict()
            if not self._free:
                self._counters.add(self.tier, "refused")
                return None
            place = self._free.pop()
            address = self._region.address + place * self.shape.bytes
            block = Block(key, self.tier, place, address, depth, pins=1)
            self._blocks[key] = block
        # Others have locks of their own, of which none is to be taken within this one.
        if victim is not None and not self._is_elsewhere(victim):
            self._counters.add(self.tier, "lost")
        return block

    def commit(self, block: Block, sums: tuple[int, ...], *, is_behind: bool = False) -> None:
        """It was filled: from now on it is found. It stays pinned, once, for the caller."""
        with self._lock:
            header = pack_header(Header(block.key, time.time_ns(), sums))
            memory_at(block.address, len(header))[:] = header
            block.sums, block.is_ready, block.is_behind = sums, True, block.is_behind or is_behind
            # What precedes makes it dearer: attention reads all of it.
            self._policy.insert(block.key, float(block.depth + 1))
            self._counters.add(self.tier, "stored")

    def note_behind(self, key: bytes) -> None:
        """A tier behind memory has it, if it is here."""
        with self._lock:
            if key in self._blocks:
                self._blocks[key].is_behind = True

    @property
    def free_blocks(self) -> int:
        """Places with nothing in them."""
        return len(self._free)

    def coming(self, count: int) -> list[bytes]:
        """The next `count` that go, as things are, and those before them that may not now."""
        found: list[bytes] = []
        with self._lock:
            for key in self._policy.order() if count > 0 else ():
                found.append(key)
                count -= self._may_go(key)
                if not count:
                    break
        return found

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

    def _is_elsewhere(self, block: Block) -> bool:
        return block.is_behind or any(other.has(block.key) for other in self.others)

    def _is_there(self, key: bytes) -> bool:
        block = self._blocks.get(key)
        return block is not None and block.is_ready

    def _evict(self) -> Block | None:
        """Who made a place free, if anybody may go."""
        victim = self._policy.victim(self._may_go)
        if victim is None:
            return None
        block = self._blocks.pop(victim)
        block.is_gone = True
        self._free.append(block.place)
        self._counters.add(self.tier, "evicted")
        return block

    def _may_go(self, key: bytes) -> bool:
        block = self._blocks[key]
        return block.is_ready and not block.pins
