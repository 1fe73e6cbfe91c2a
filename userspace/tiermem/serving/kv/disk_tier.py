"""The SSD tier: a file of records, moved by many transfers at once, past the page cache.

What cannot be read, is short or is not what was written is not there: counted, forgotten,
and an engine computes it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import ClassVar

from tiermem.errors import KernelError
from tiermem.serving.kv.behind import (
    AT_ONCE,
    PAUSE_S,
    BehindMemory,
    Rate,
    Read,
    check_record,
)
from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.disk_file import FULL, DiskFile
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.near import NearMemory
from tiermem.serving.kv.places import Places
from tiermem.serving.kv.transfers import Outcome, Transfer, Transfers, explain

# After the disk was full, so long before the file is made longer again.
_FULL_S = 60.0

log = logging.getLogger(__name__)


class DiskTier(BehindMemory):
    """Takes `file` over. transfers: for tests; io_uring where the kernel has it."""

    tier: ClassVar[TierName] = "ssd"

    def __init__(
        self,
        file: DiskFile,
        memory: NearMemory,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        rate: Rate,
        transfers: Transfers | None = None,
    ) -> None:
        super().__init__(memory, counters, rate)
        self._file = file
        self._transfers = transfers or Transfers(AT_ONCE)
        self._places = Places(policy)
        self._paused_until_s = 0.0
        self._full_until_s = 0.0
        self._scan()
        self._fresh = list(range(file.places - 1, file.written_places - 1, -1))

    @property
    def blocks_max(self) -> int:
        """How many fit; 0 where nothing can be kept."""
        return self._file.places

    @property
    def used_blocks(self) -> int:
        """Blocks that would be looked for."""
        with self._wake:
            return len(self._places)

    def _has(self, key: bytes) -> bool:
        return key in self._places

    def _is_writable(self) -> bool:
        return self._file.is_writable and self._file.places > 0

    def _end(self) -> None:
        self._transfers.close()
        self._file.close()

    def _forget_all(self) -> None:
        self._places.forget_all()
        self._file.cut_all()
        self._places.free, self._fresh = [], list(range(self._file.places - 1, -1, -1))

    def _scan(self) -> None:
        newest: dict[bytes, tuple[int, int]] = {}
        for place, header in self._file.headers():
            if header.sequence >= newest.get(header.key, (0, 0))[0]:
                newest[header.key] = (header.sequence, place)
        for key, (_, place) in sorted(newest.items(), key=lambda item: item[1]):
            self._places.put(key, place, 1.0)
        taken = {place for _, place in newest.values()}
        written = range(self._file.written_places)
        self._places.free = [place for place in written if place not in taken]

    # --- reads ---

    def _do_reads(self, reads: list[Read]) -> None:
        with self._wake:
            places = [self._places.of(read.block.key) for read in reads]
        there = [
            (read, place) for read, place in zip(reads, places, strict=True) if place is not None
        ]
        size = self._file.shape.bytes
        begun_ns = time.monotonic_ns()
        outcomes = self._transfers.run(
            self._file.fd,
            [
                Transfer(read.block.address, self._file.offset(place), size, is_write=False)
                for read, place in there
            ],
        )
        self._take_time([read.block for read, _ in there], outcomes, begun_ns)
        if there:
            seconds = (time.monotonic_ns() - begun_ns) / 1e9
            self._rate(self.tier, sum(one.done_bytes for one in outcomes), seconds)
        for (read, _), outcome in zip(there, outcomes, strict=True):
            read.end(is_good=self._settle_read(read.block, outcome))

    def _settle_read(self, block: Block, outcome: Outcome) -> bool:
        shape = self._file.shape
        if outcome.error or outcome.done_bytes < shape.bytes:
            self._counters.add("ssd", "failed" if outcome.error else "short")
            log.warning("%s", explain(f"{self._file.path}: read a KV block", outcome))
            self._forget(block.key)
            return False
        if not check_record(block, shape):
            self._counters.add("ssd", "corrupted")
            log.warning("%s: a KV block is not what was written: it is dropped", self._file.path)
            self._forget(block.key)
            return False
        self._counters.add("ssd", "bytes_out", shape.bytes)
        with self._wake:
            self._places.use(block.key)
        return True

    def _forget(self, key: bytes) -> None:
        with self._wake:
            self._places.forget(key)

    # --- writes ---

    def _do_writes(self, blocks: list[Block]) -> None:
        if time.monotonic() < self._paused_until_s or not self._is_begun():
            self._counters.add("ssd", "refused", len(blocks))
            return
        placed: list[tuple[Block, int]] = []
        written = self._file.written_places
        for block in blocks:
            place = self._take_place()
            if place is None:
                self._counters.add("ssd", "refused")
            else:
                placed.append((block, place))
        begun_ns = time.monotonic_ns()
        outcomes = self._transfers.run(
            self._file.fd,
            [
                Transfer(
                    block.address, self._file.offset(place), self._file.shape.bytes, is_write=True
                )
                for block, place in placed
            ],
        )
        self._take_time([block for block, _ in placed], outcomes, begun_ns)
        for (block, place), outcome in zip(placed, outcomes, strict=True):
            self._settle_write(block, place, outcome, is_fresh=place >= written)

    def _take_time(
        self, blocks: Sequence[Block], outcomes: Sequence[Outcome], begun_ns: int
    ) -> None:
        """Of an emulated memory, for those that were moved."""
        moved = [one for one, how in zip(blocks, outcomes, strict=True) if how.done_bytes]
        self._memory.moved(moved, begun_ns)

    def _is_begun(self) -> bool:
        """Whether the file has its first page; on a disk that was full it may get it later."""
        if self._file.is_begun:
            return True
        if time.monotonic() < self._full_until_s:
            return False
        try:
            if self._file.begin():
                return True
            log.warning("%s: the disk is full: nothing is kept there yet", self._file.path)
        except KernelError as error:
            log.warning("%s", error)
        self._full_until_s = time.monotonic() + _FULL_S
        return False

    def _take_place(self) -> int | None:
        with self._wake:
            if self._places.free:
                return self._places.free.pop()
            if self._fresh and time.monotonic() >= self._full_until_s:
                return self._fresh.pop()
            place = self._places.evict(lambda key: key not in self._busy)
            if place is not None:
                self._counters.add("ssd", "evicted")
            return place

    def _settle_write(self, block: Block, place: int, outcome: Outcome, *, is_fresh: bool) -> None:
        size = self._file.shape.bytes
        if outcome.error or outcome.done_bytes < size:
            self._counters.add("ssd", "failed")
            log.warning("%s", explain(f"{self._file.path}: write a KV block", outcome))
            with self._wake:
                if outcome.error in FULL and is_fresh:
                    # The next ones go to places that have been written before, if there are any,
                    # which takes no more of most disks.
                    self._full_until_s = time.monotonic() + _FULL_S
                    self._fresh.append(place)
                else:
                    self._paused_until_s = time.monotonic() + PAUSE_S
                    self._places.free.append(place)
            return
        self._counters.add("ssd", "stored")
        self._counters.add("ssd", "bytes_in", size)
        with self._wake:
            self._places.put(block.key, place, float(block.depth + 1))
        self._memory.note_behind(block.key)
