"""The SSD tier: what memory has is written in the background, and read back into memory.

One thread does all of it. Reads go first, for somebody waits for them. What cannot be
read, is short or is not what was written is not there: counted, forgotten, and an
engine computes it again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EDQUOT, EFBIG, ENOSPC

from tiermem.serving.kv.counters import Counters
from tiermem.serving.kv.disk_file import DiskFile
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.pieces import is_whole
from tiermem.serving.kv.record import memory_at, read_header
from tiermem.serving.kv.transfers import Outcome, Transfer, Transfers, explain

AT_ONCE = 4
# After a write that failed, so long before the next one.
_PAUSE_S = 10.0
# After the disk was full, so long before the file is made longer again.
_FULL_S = 60.0

log = logging.getLogger(__name__)

Rate = Callable[[int, float], None]
"""Told of bytes that were read, and of the seconds that it took."""
Done = Callable[[Block, bool], None]


@dataclass(slots=True)
class _Read:
    block: Block
    done: Done


class DiskTier:
    """Threads may share it; `close` it. Blocks are the memory tier's, pinned while used here."""

    def __init__(
        self,
        file: DiskFile,
        memory: MemoryTier,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        rate: Rate,
        transfers: Transfers | None = None,
    ) -> None:
        self._file, self._memory, self._policy = file, memory, policy
        self._counters, self._rate = counters, rate
        self._transfers = transfers or Transfers(AT_ONCE)
        self._places: dict[bytes, int] = {}
        self._wake = threading.Condition()
        self._reads: deque[_Read] = deque()
        self._writes: OrderedDict[bytes, None] = OrderedDict()
        self._busy: set[bytes] = set()
        self._is_closing = False
        self._clears = self._cleared = 0
        self._paused_until_s = 0.0
        self._full_until_s = 0.0
        self._free = self._scan()
        self._fresh = list(range(file.places - 1, file.written_places - 1, -1))
        self._thread = threading.Thread(target=self._run, name="kv-ssd", daemon=True)
        self._thread.start()

    @property
    def used_blocks(self) -> int:
        """Blocks that would be looked for."""
        with self._wake:
            return len(self._places)

    @property
    def file(self) -> DiskFile:
        """Where they lie."""
        return self._file

    def prefix(self, keys: Sequence[bytes]) -> int:
        """How many of them, from the first one on, should be there."""
        with self._wake:
            for number, key in enumerate(keys):
                if key not in self._places:
                    return number
            return len(keys)

    def has(self, key: bytes) -> bool:
        """Whether it should be there."""
        return self.prefix([key]) == 1

    def write(self, keys: Sequence[bytes]) -> None:
        """Write them some time, if memory still has them then."""
        with self._wake:
            if self._is_closing or not self._file.is_writable or not self._file.places:
                self._counters.add("ssd", "refused", len(keys))
                return
            for key in keys:
                if key not in self._places:
                    self._writes[key] = None
            self._wake.notify_all()

    def read(self, block: Block, done: Done) -> None:
        """Fill a reserved block; `done` is called from the thread that reads, and is short."""
        with self._wake:
            is_closing = self._is_closing
            if not is_closing:
                self._reads.append(_Read(block, done))
                self._wake.notify_all()
        if is_closing:
            done(block, False)

    def clear(self) -> None:
        """All of it is gone, from the file as well, when this returns."""
        with self._wake:
            self._clears += 1
            wanted = self._clears
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._is_closing or self._cleared >= wanted)

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is to be read or written; whether that was so in time."""
        with self._wake:
            return self._wake.wait_for(
                lambda: not (self._reads or self._writes or self._busy), timeout_s
            )

    def close(self) -> None:
        """What was not written yet is not."""
        with self._wake:
            self._is_closing = True
            self._wake.notify_all()
        self._thread.join()
        self._transfers.close()
        self._file.close()

    def _scan(self) -> list[int]:
        newest: dict[bytes, tuple[int, int]] = {}
        for place, header in self._file.headers():
            if header.sequence >= newest.get(header.key, (0, 0))[0]:
                newest[header.key] = (header.sequence, place)
        for key, (_, place) in sorted(newest.items(), key=lambda item: item[1]):
            self._places[key] = place
            self._policy.insert(key, 1.0)
        taken = set(self._places.values())
        return [place for place in range(self._file.written_places) if place not in taken]

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception:
            log.exception("%s: the SSD tier ends: all of it counts as not there", self._file.path)
        with self._wake:
            self._is_closing = True
            self._places.clear()
            self._writes.clear()
            reads, self._reads = list(self._reads), deque()
            self._busy.clear()
            self._wake.notify_all()
        for read in reads:
            read.done(read.block, False)

    def _step(self) -> bool:
        """One batch; whether there may be another."""
        with self._wake:
            self._busy.clear()
            self._wake.notify_all()
            self._wake.wait_for(self._has_work)
            if self._is_closing:
                return False
            if self._clears > self._cleared:
                self._forget_all()
                return True
            reads = [self._reads.popleft() for _ in range(min(AT_ONCE, len(self._reads)))]
            writes = [] if reads else self._next_writes()
            self._busy.update(read.block.key for read in reads)
            self._busy.update(block.key for block in writes)
        if reads:
            self._do_reads(reads)
        elif writes:
            self._do_writes(writes)
        return True

    def _has_work(self) -> bool:
        return bool(self._is_closing or self._clears > self._cleared or self._reads or self._writes)

    def _forget_all(self) -> None:
        for key in self._places:
            self._policy.remove(key)
        self._places.clear()
        self._writes.clear()
        self._file.cut_all()
        self._free, self._fresh = [], list(range(self._file.places - 1, -1, -1))
        self._cleared = self._clears
        self._wake.notify_all()

    def _next_writes(self) -> list[Block]:
        found: list[Block] = []
        while self._writes and len(found) < AT_ONCE:
            key, _ = self._writes.popitem(last=False)
            block = self._memory.pin(key)
            if block is None:
                continue
            if key in self._places:
                self._memory.unpin([block])
            else:
                found.append(block)
        return found

    # --- reads ---

    def _do_reads(self, reads: list[_Read]) -> None:
        with self._wake:
            places = [self._places.get(read.block.key) for read in reads]
        there = [
            (read, place) for read, place in zip(reads, places, strict=True) if place is not None
        ]
        size = self._file.shape.bytes
        begun_s = time.monotonic()
        outcomes = self._transfers.run(
            self._file.fd,
            [
                Transfer(read.block.address, self._file.offset(place), size, is_write=False)
                for read, place in there
            ],
        )
        if there:
            self._rate(sum(one.done_bytes for one in outcomes), time.monotonic() - begun_s)
        for (read, _), outcome in zip(there, outcomes, strict=True):
            read.done(read.block, self._settle_read(read.block, outcome))
        for read, place in zip(reads, places, strict=True):
            if place is None:
                read.done(read.block, False)

    def _settle_read(self, block: Block, outcome: Outcome) -> bool:
        shape = self._file.shape
        if outcome.error or outcome.done_bytes < shape.bytes:
            self._counters.add("ssd", "failed" if outcome.error else "short")
            log.warning("%s", explain(f"{self._file.path}: read a KV block", outcome))
            self._forget(block.key)
            return False
        header = read_header(memory_at(block.address, shape.header_bytes), shape)
        if (
            header is None
            or header.key != block.key
            or not is_whole(block.address + shape.header_bytes, header.sums, shape.piece_bytes)
        ):
            self._counters.add("ssd", "corrupted")
            log.warning("%s: a KV block is not what was written: it is dropped", self._file.path)
            self._forget(block.key)
            return False
        self._counters.add("ssd", "bytes_out", shape.bytes)
        with self._wake:
            self._policy.use(block.key)
        block.sums = header.sums
        return True

    def _forget(self, key: bytes) -> None:
        with self._wake:
            place = self._places.pop(key, None)
            if place is not None:
                self._policy.remove(key)
                self._free.append(place)

    # --- writes ---

    def _do_writes(self, blocks: list[Block]) -> None:
        if time.monotonic() < self._paused_until_s:
            self._counters.add("ssd", "refused", len(blocks))
            self._memory.unpin(blocks)
            return
        placed: list[tuple[Block, int]] = []
        for block in blocks:
            place = self._take_place()
            if place is None:
                self._counters.add("ssd", "refused")
                self._memory.unpin([block])
            else:
                placed.append((block, place))
        outcomes = self._transfers.run(
            self._file.fd,
            [
                Transfer(
                    block.address, self._file.offset(place), self._file.shape.bytes, is_write=True
                )
                for block, place in placed
            ],
        )
        for (block, place), outcome in zip(placed, outcomes, strict=True):
            self._settle_write(block, place, outcome)
        self._memory.unpin([block for block, _ in placed])

    def _take_place(self) -> int | None:
        with self._wake:
            if self._free:
                return self._free.pop()
            if self._fresh and time.monotonic() >= self._full_until_s:
                return self._fresh.pop()
            victim = self._policy.victim(lambda key: key not in self._busy)
            if victim is None:
                return None
            self._counters.add("ssd", "evicted")
            return self._places.pop(victim)

    def _settle_write(self, block: Block, place: int, outcome: Outcome) -> None:
        size = self._file.shape.bytes
        if outcome.error or outcome.done_bytes < size:
            self._counters.add("ssd", "failed")
            log.warning("%s", explain(f"{self._file.path}: write a KV block", outcome))
            with self._wake:
                if outcome.error in (ENOSPC, EDQUOT, EFBIG):
                    # The next ones go to places that have been written before, if there are any.
                    self._full_until_s = time.monotonic() + _FULL_S
                    self._fresh.append(place)
                else:
                    self._paused_until_s = time.monotonic() + _PAUSE_S
                    self._free.append(place)
            return
        self._counters.add("ssd", "stored")
        self._counters.add("ssd", "bytes_in", size)
        with self._wake:
            self._places[block.key] = place
            self._policy.insert(block.key, float(block.depth + 1))
        block.is_on_disk = True
