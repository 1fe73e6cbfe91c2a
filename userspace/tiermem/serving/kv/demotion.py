"""Copies what memory would let go next into CXL memory, so that letting it go loses nothing.

As a kernel's reclaim demotes cold pages instead of dropping them, but ahead of need: an
engine's step never waits until there is room for what it made.
"""

from __future__ import annotations

import logging
import threading

from tiermem.native._kv import ffi, lib
from tiermem.serving.kv.counters import Counters
from tiermem.serving.kv.memory_tier import Block, MemoryTier

# Of memory, so much is copied ahead, and at least as much as so many steps made.
_AHEAD_SHARE = 1 / 8
_AHEAD_STEPS = 2

log = logging.getLogger(__name__)


class Demotion:
    """A thread; `start` it once, `ask` it whenever blocks came to `memory`, and `close` it."""

    def __init__(self, memory: MemoryTier, cxl: MemoryTier, counters: Counters) -> None:
        self._memory, self._cxl, self._counters = memory, cxl, counters
        self._ahead = max(1, round(memory.blocks_max * _AHEAD_SHARE))
        self._wake = threading.Condition()
        self._is_asked = self._is_busy = self._is_closing = False
        # While it is held, no copy comes to CXL memory.
        self._copying = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="kv-demotion", daemon=True)

    def start(self) -> None:
        """From now on it works."""
        self._thread.start()

    def ask(self, blocks: int) -> None:
        """So many came to memory at once, and others may be the next to go."""
        with self._wake:
            self._ahead = max(self._ahead, min(self._memory.blocks_max, _AHEAD_STEPS * blocks))
            self._is_asked = True
            self._wake.notify_all()

    def clear(self) -> None:
        """Both memories, and nothing of what was there comes back."""
        with self._copying:
            self._memory.clear()
            self._cxl.clear()

    def flush(self, timeout_s: float) -> bool:
        """Wait until those that are next to go are copied; whether that was so in time."""
        with self._wake:
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

    def _run(self) -> None:
        try:
            while self._is_wanted():
                for key in self._memory.coming(self._ahead):
                    if self._is_closing or not self._demote(key):
                        break
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
            self._is_asked, self._is_busy = False, True
            return not self._is_closing

    def _demote(self, key: bytes) -> bool:
        """Whether the next one may be tried."""
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
            return copy is not None or self._cxl.has(key)

    def _copy(self, block: Block, copy: Block) -> None:
        """Sums stay those of when it was made: whoever restores it checks them."""
        shape = self._memory.shape
        to, from_ = (ffi.cast("void *", one.address + shape.header_bytes) for one in (copy, block))
        lib.paced_copy(self._cxl.pace, self._memory.pace, to, from_, shape.payload_bytes)
        self._cxl.commit(copy, block.sums, is_behind=block.is_behind)
        self._counters.add("cxl", "bytes_in", shape.bytes)
