"""What is behind near memory: written in the background, and read back into it when asked.

One thread does all of it. Reads go first, for somebody waits for them. `pool_tier` and
`disk_tier` are the kinds.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.near import NearMemory
from tiermem.serving.kv.pieces import is_whole
from tiermem.serving.kv.record import RecordShape, memory_at, read_header

AT_ONCE = 4
# After a write that failed, so long before the next one.
PAUSE_S = 10.0

log = logging.getLogger(__name__)

Rate = Callable[[TierName, int, float], None]
"""Told of bytes that came from a tier, and of the seconds that it took."""
Done = Callable[[Block, bool], None]


@dataclass(slots=True)
class Read:
    """A reserved block that is to be filled. done: called by the thread that reads; short."""

    block: Block
    done: Done
    is_over: bool = False

    def end(self, *, is_good: bool) -> None:
        """It was filled, or could not be. What was said first counts."""
        if not self.is_over:
            self.is_over = True
            self.done(self.block, is_good)


class BehindMemory(ABC):
    """Threads may share it; `start` it once, and `close` it. Blocks are those of near memory."""

    tier: ClassVar[TierName]

    def __init__(self, memory: NearMemory, counters: Counters, rate: Rate) -> None:
        self._memory, self._counters, self._rate = memory, counters, rate
        # Guards all that follows, and what subclasses know of their blocks.
        self._wake = threading.Condition()
        self._reads: deque[Read] = deque()
        self._writes: OrderedDict[bytes, None] = OrderedDict()
        self._busy: set[bytes] = set()
        self._clears = self._cleared = 0
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=f"kv-{self.tier}", daemon=True)

    def start(self) -> None:
        """From now on it works."""
        try:
            self._thread.start()
        except BaseException:
            self._end()
            raise

    def has(self, key: bytes) -> bool:
        """Whether it should be there."""
        with self._wake:
            return not self._is_closing and self._has(key)

    def write(self, keys: Sequence[bytes]) -> None:
        """Write them some time, if near memory still has them then."""
        with self._wake:
            if self._is_closing or not self._is_writable():
                self._counters.add(self.tier, "refused", len(keys))
                return
            for key in keys:
                if self._has(key):
                    self._memory.note_behind(key)
                else:
                    self._writes[key] = None
            self._wake.notify_all()

    def read(self, block: Block, done: Done) -> None:
        """Fill a reserved block."""
        with self._wake:
            is_closing = self._is_closing
            if not is_closing:
                self._reads.append(Read(block, done))
                self._wake.notify_all()
        if is_closing:
            done(block, False)

    def clear(self) -> None:
        """All of it is gone, for processes to come as well, when this returns."""
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
        self._end()

    # --- what the kinds differ in; the first three are called with `_wake` held ---

    @abstractmethod
    def _has(self, key: bytes) -> bool:
        """Whether it should be there."""

    @abstractmethod
    def _is_writable(self) -> bool:
        """Whether anything may be written at all."""

    @abstractmethod
    def _forget_all(self) -> None:
        """Of what was written, nothing is found again."""

    @abstractmethod
    def _do_reads(self, reads: list[Read]) -> None:
        """`end` each that can be; the others are refused then."""

    @abstractmethod
    def _do_writes(self, blocks: list[Block]) -> None:
        """They are pinned, and stay so until this returns."""

    @abstractmethod
    def _end(self) -> None:
        """Nothing is under way any more."""

    # --- the thread ---

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception:
            log.exception("the %s tier of KV blocks ends: all of it counts as gone", self.tier)
        with self._wake:
            self._is_closing = True
            self._writes.clear()
            reads, self._reads = list(self._reads), deque()
            self._busy.clear()
            self._wake.notify_all()
        for read in reads:
            read.end(is_good=False)

    def _step(self) -> bool:
        """One batch; whether there may be another."""
        with self._wake:
            self._busy.clear()
            self._wake.notify_all()
            self._wake.wait_for(self._has_work)
            if self._is_closing:
                return False
            if self._clears > self._cleared:
                self._clear()
                return True
            reads = [self._reads.popleft() for _ in range(min(AT_ONCE, len(self._reads)))]
            writes = [] if reads else self._next_writes()
            self._busy.update(read.block.key for read in reads)
            self._busy.update(block.key for block in writes)
        if reads:
            try:
                self._do_reads(reads)
            finally:
                # Somebody waits for each, also where an error came between.
                for read in reads:
                    read.end(is_good=False)
        elif writes:
            try:
                self._do_writes(writes)
            finally:
                self._memory.unpin(writes)
        return True

    def _clear(self) -> None:
        """With `_wake` held. What was still to be read is refused: it is older than that."""
        wanted = self._clears
        self._writes.clear()
        self._forget_all()
        while self._reads:
            self._reads.popleft().end(is_good=False)
        self._cleared = wanted

    def _has_work(self) -> bool:
        is_asked = self._is_closing or self._clears > self._cleared
        return bool(is_asked or self._reads or self._writes)

    def _next_writes(self) -> list[Block]:
        found: list[Block] = []
        while self._writes and len(found) < AT_ONCE:
            key, _ = self._writes.popitem(last=False)
            block = self._memory.pin(key)
            if block is None:
                continue
            if self._has(key):
                self._memory.unpin([block])
            else:
                found.append(block)
        return found


def check_record(block: Block, shape: RecordShape) -> bool:
    """Whether the record that was read to the block's place is whole, and the block's."""
    header = read_header(memory_at(block.address, shape.header_bytes), shape)
    if header is None or header.key != block.key:
        return False
    if not is_whole(block.address + shape.header_bytes, header.sums, shape.piece_bytes):
        return False
    block.sums = header.sums
    return True
