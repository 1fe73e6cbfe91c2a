"""The CXL tier: records in memory of a slower tier, behind a smaller one that is faster.

Blocks that left fast memory are staged there again, at the slower tier's pace, before an
engine takes them: so its steps never wait for that tier. Where it is to be the only memory,
`memory.tier` says so instead.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import ClassVar

from tiermem.errors import NoSpaceError
from tiermem.layer.arena import Buffer
from tiermem.serving.kv.behind import BehindMemory, Rate, Read, check_record
from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.places import Places
from tiermem.serving.kv.record import memory_at

log = logging.getLogger(__name__)


class CxlTier(BehindMemory):
    """In `buffer`, as many records as fit, none more. NoSpaceError where none does."""

    tier: ClassVar[TierName] = "cxl"

    def __init__(
        self,
        buffer: Buffer,
        memory: MemoryTier,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        rate: Rate,
    ) -> None:
        super().__init__(memory, counters, rate)
        self._buffer = buffer
        self._size = memory.shape.bytes
        self.blocks_max = buffer.bytes // self._size
        if not self.blocks_max:
            raise NoSpaceError(
                f"{buffer.bytes} bytes of CXL memory: a KV block of this engine takes {self._size}"
            )
        self._places = Places(policy, range(self.blocks_max - 1, -1, -1))

    def use(self, keys: Sequence[bytes]) -> None:
        """They were asked for, and memory had them: what is used goes last here as well."""
        with self._wake:
            for key in keys:
                self._places.use(key)

    @property
    def used_blocks(self) -> int:
        """Blocks that would be looked for."""
        with self._wake:
            return len(self._places)

    def _has(self, key: bytes) -> bool:
        return key in self._places

    def _is_writable(self) -> bool:
        return True

    def _end(self) -> None:
        """The buffer is its owner's."""

    def _forget_all(self) -> None:
        self._places.forget_all()

    # --- reads ---

    def _do_reads(self, reads: list[Read]) -> None:
        for read in reads:
            with self._wake:
                place = self._places.of(read.block.key)
            if place is not None:
                read.end(is_good=self._read(read.block, place))

    def _read(self, block: Block, place: int) -> bool:
        begun_s = time.monotonic()
        self._buffer.copy_out(memory_at(block.address, self._size), place * self._size)
        self._rate(self.tier, self._size, time.monotonic() - begun_s)
        if not check_record(block, self._memory.shape):
            self._counters.add("cxl", "corrupted")
            log.warning("%r: a KV block is not what was stored: it is dropped", self._buffer)
            with self._wake:
                self._places.forget(block.key)
            return False
        self._counters.add("cxl", "bytes_out", self._size)
        with self._wake:
            self._places.use(block.key)
        return True

    # --- writes ---

    def _do_writes(self, blocks: list[Block]) -> None:
        for block in blocks:
            place = self._take_place()
            if place is None:
                self._counters.add("cxl", "refused")
                continue
            self._buffer.copy_in(memory_at(block.address, self._size), place * self._size)
            with self._wake:
                self._places.put(block.key, place, float(block.depth + 1))
            block.is_behind = True
            self._counters.add("cxl", "stored")
            self._counters.add("cxl", "bytes_in", self._size)

    def _take_place(self) -> int | None:
        with self._wake:
            if self._places.free:
                return self._places.free.pop()
            place = self._places.evict(lambda key: key not in self._busy)
            if place is not None:
                self._counters.add("cxl", "evicted")
            return place
