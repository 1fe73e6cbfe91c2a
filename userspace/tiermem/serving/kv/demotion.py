"""Copies what memory would let go next into CXL memory, so that letting it go loses nothing.

As a kernel's reclaim demotes cold pages instead of dropping them, but ahead of need: an
engine's step never waits until there is room for what it made.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from tiermem.native._kv import ffi, lib
from tiermem.serving.kv.counters import Counters
from tiermem.serving.kv.memory_tier import Block, MemoryTier

# Of memory, so much is copied ahead at least.
_AHEAD_SHARE = 1 / 8
# The next step's blocks take places before this one's are known here.
_AHEAD_STEPS = 2
# Of what is copied ahead, so much is taken before it is looked at again which blocks are next: a
# look goes through all of those that are, in large memories some thousands.
_UNSEEN_SHARE = 1 / 4
# At each step, so much of the highest figure until then.
_FORGOTTEN_SHARE = 1 / 32

log = logging.getLogger(__name__)


class Demotion:
    """A thread; `start` it once, `ask` it whenever blocks came to `memory`, and `close` it."""

    def __init__(self, memory: MemoryTier, cxl: MemoryTier, counters: Counters) -> None:
        self._memory, self._cxl, self._counters = memory, cxl, counters
        self._most_came = self._most_used = 0.0
        # Places and blocks that were taken from the front since the last look.
        self._taken = 0
        # More would push out one another.
        self._at_once_max = max(1, cxl.blocks_max // 2)
        self._wake = threading.Condition()
        self._is_asked = self._is_busy = self._is_closing = False
        # While it is held, no copy comes to CXL memory.
        self._copying = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="kv-demotion", daemon=True)

    def start(self) -> None:
        """From now on it works."""
        self._thread.start()

    @property
    def ahead(self) -> int:
        """How many places are to be free, or of blocks that CXL memory has: as many as steps took
        lately, and as there were blocks that steps took from the front by using them."""
        wanted = max(
            self._memory.blocks_max * _AHEAD_SHARE,
            _AHEAD_STEPS * self._most_came + self._most_used,
        )
        return max(1, min(round(wanted), self._memory.blocks_max, self._at_once_max))

    @property
    def _unseen_max(self) -> int:
        return int(self.ahead * _UNSEEN_SHARE)

    def ask(self, *, came: int = 0, used: int = 0) -> None:
        """Others may be the next to go: so many came to memory at once, or were used."""
        with self._wake:
            self._most_came = _peak(self._most_came, came)
            self._most_used = _peak(self._most_used, used)
            self._taken += came + used
            if self._taken > self._unseen_max:
                self._look()

    def clear(self) -> None:
        """Both memories, and nothing of what was there comes back."""
        with self._copying:
            self._memory.clear()
            self._cxl.clear()

    def flush(self, timeout_s: float) -> bool:
        """Wait until those that are next to go are copied; whether that was so in time."""
        with self._wake:
            if self._taken:
                self._look()
            return self._wake.wait_for(
                lambda: self._is_closing or not (self._is_asked or self._is_busy), timeout_s
            )

    def close(self) -> None:
        """What was not copied yet is not."""
        with self._wake:
            self._is_closing = True
            self._wake.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _look(self) -> None:
        """With the lock held."""
        self._is_asked = True
        self._wake.notify_all()

    def _run(self) -> None:
        try:
            while self._is_wanted():
                wanted = min(self.ahead + self._unseen_max, self._at_once_max)
                self._demote_all(self._memory.coming(wanted - self._memory.free_blocks))
        except Exception:
            log.exception("no KV blocks go to CXL memory any more")
            with self._wake:
                self._is_closing = True
                self._wake.notify_all()

    def _is_wanted(self) -> bool:
        with self._wake:
            self._is_busy = False
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._is_asked or self._is_closing)
            self._is_asked, self._is_busy, self._taken = False, True, 0
            return not self._is_closing

    def _demote_all(self, keys: Sequence[bytes]) -> None:
        # Those that may not go now are before the others.
        keys = keys[-self._at_once_max :]
        for key, is_there in zip(keys, self._cxl.there(keys), strict=True):
            if not is_there and (self._is_closing or not self._demote(key)):
                break

    def _demote(self, key: bytes) -> bool:
        """If it is in memory yet. False: CXL memory has no place."""
        with self._copying:
            block = self._memory.pin(key)
            if block is None:
                return True
            try:
                copy = self._cxl.reserve(key, block.depth)
                if copy is not None:
                    self._copy(block, copy)
                    self._cxl.unpin([copy])
            finally:
                self._memory.unpin([block])
            return copy is not None

    def _copy(self, block: Block, copy: Block) -> None:
        """Sums stay those of when it was made: whoever restores it checks them."""
        shape = self._memory.shape
        to, from_ = (ffi.cast("void *", one.address + shape.header_bytes) for one in (copy, block))
        lib.paced_copy(self._cxl.pace, self._memory.pace, to, from_, shape.payload_bytes)
        self._cxl.commit(copy, block.sums, is_behind=block.is_behind)
        self._counters.add("cxl", "bytes_in", shape.bytes)


def _peak(before: float, now: int) -> float:
    """Of what was lately, which is forgotten slowly."""
    return max(now, before * (1 - _FORGOTTEN_SHARE)) if now else before
