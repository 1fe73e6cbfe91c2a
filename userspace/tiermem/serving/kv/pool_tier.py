"""The pool tier: blocks as extents of a pool, which all engines of all its hosts find.

A session that began on one host goes on from its KV on another. Each engine publishes
what it computed, up to its capacity, and removes the least worth of it; what it reads is
held for as long as it is copied, and checked like what comes from SSD.

A host that was silent for the pool's lease may have been taken for dead by others, and what it
had published is gone then, or adopted. The tier opens the pool anew, and goes on with what is
left of it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

from tiermem.errors import (
    DamagedError,
    LeaseLostError,
    MissingError,
    NameTakenError,
    NoSpaceError,
    TiermemError,
)
from tiermem.layer.pool import Pool
from tiermem.native._pool import ffi, lib
from tiermem.serving.kv.behind import PAUSE_S, BehindMemory, Rate, Read, check_record
from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.near import NearMemory
from tiermem.serving.kv.own_blocks import OwnBlocks, key_of, name_of

# So old may be what is known of others' blocks: looking is a walk over the whole directory.
_LOOK_S = 0.1

log = logging.getLogger(__name__)


class PoolTier(BehindMemory):
    """open_pool: as this host, for this tier alone, which closes it: what is noted of a host is by
    process, so none may have two. capacity_bytes: this engine's."""

    tier: ClassVar[TierName] = "pool"

    def __init__(
        self,
        open_pool: Callable[[], Pool],
        capacity_bytes: int,
        memory: NearMemory,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        rate: Rate,
    ) -> None:
        """NoSpaceError where not one block fits into the capacity; what `open_pool` raises."""
        super().__init__(memory, counters, rate)
        if capacity_bytes < memory.shape.bytes:
            raise NoSpaceError(
                f"{capacity_bytes} bytes in a pool: a KV block of this engine takes "
                f"{memory.shape.bytes}"
            )
        self._open_pool, self._capacity_bytes = open_pool, capacity_bytes
        self._others: set[bytes] = set()
        self._look_at_s = self._paused_until_s = 0.0
        # The lease was lost, and the pool is not open again yet; what was cleared meanwhile.
        self._is_away = self._is_to_forget = False
        self._own = OwnBlocks(
            capacity_bytes,
            policy,
            counters,
            lock=self._wake,
            is_free=lambda key: key not in self._busy,
        )
        self._pool = open_pool()
        try:
            self._own.take_over(self._pool)
        except BaseException:
            self._end()
            raise

    @property
    def used_blocks(self) -> int:
        """Blocks that this engine has published."""
        return len(self._own)

    @property
    def blocks_max(self) -> int:
        """How many of this engine's would fit."""
        return self._capacity_bytes // self._memory.shape.bytes

    @property
    def used_bytes(self) -> int:
        """What they take in the pool, with what was removed and is being read yet."""
        return self._own.used_bytes

    def _has(self, key: bytes) -> bool:
        if key not in self._own and time.monotonic() >= self._look_at_s:
            self._look()
        return key in self._own or key in self._others

    def _look(self) -> None:
        try:
            names = [entry.name for entry in self._pool.entries() if not entry.is_damaged]
        except TiermemError as error:
            log.warning("%s", error)
            names = []
        known = (key_of(name) for name in names)
        self._others = {key for key in known if key is not None} - self._own.published()
        self._look_at_s = time.monotonic() + _LOOK_S

    def _is_writable(self) -> bool:
        return True

    def _end(self) -> None:
        """What was published stays, for others and for who comes next."""
        self._pool.close()

    def _forget_all(self) -> None:
        self._is_to_forget = True
        if self._is_there():
            self._forget_own()

    def _forget_own(self) -> None:
        # Without the lease nothing can be removed: then it is when that is back.
        with suppress(LeaseLostError):
            for key in self._own.published():
                self._own.remove(key)
            self._is_to_forget = False

    # --- the lease ---

    def _is_there(self) -> bool:
        """Whether the pool is. Where others may have taken this host for dead it is opened anew,
        and what is there of it yet is found again; meanwhile it has nothing for anybody."""
        try:
            if not self._is_away:
                self._pool.check_lease()
        except LeaseLostError as error:
            log.warning("%s", error)
            self._leave()
        if self._is_away and time.monotonic() >= self._paused_until_s:
            try:
                self._come_back()
            except TiermemError as error:
                self._counters.add("pool", "failed")
                log.warning("%s", error)
                self._paused_until_s = time.monotonic() + PAUSE_S
        return not self._is_away

    def _leave(self) -> None:
        with self._wake:
            self._is_away, self._look_at_s, self._paused_until_s = True, math.inf, 0.0
            self._others.clear()
            self._own.lose()

    def _come_back(self) -> None:
        self._own.lose()
        self._pool.close()
        self._pool = self._open_pool()
        self._own.take_over(self._pool)
        if self._is_to_forget:
            self._forget_own()
        self._counters.add("pool", "reopened")
        with self._wake:
            self._is_away, self._look_at_s = False, 0.0

    # --- reads ---

    def _do_reads(self, reads: list[Read]) -> None:
        for read in reads if self._is_there() else ():
            read.end(is_good=self._read(read.block))

    def _read(self, block: Block) -> bool:
        shape = self._memory.shape
        begun_ns = time.monotonic_ns()
        try:
            with self._pool.open(name_of(block.key), verify=False) as extent:
                if extent.entry.bytes != shape.bytes:
                    raise DamagedError(f"{self._pool.path}: {extent.entry.name}: wrong size")
                _copy(block.address, extent.address, shape.bytes)
        except MissingError:
            self._forget(block.key)
            return False
        except TiermemError as error:
            self._counters.add("pool", "failed")
            log.warning("%s", error)
            if self._forget(block.key):
                # It takes this engine's space as long as it is there.
                with suppress(TiermemError):
                    self._own.remove(block.key)
            return False
        self._memory.moved([block], begun_ns)
        self._rate(self.tier, shape.bytes, (time.monotonic_ns() - begun_ns) / 1e9)
        if not check_record(block, shape):
            self._counters.add("pool", "corrupted")
            log.warning("%s: a KV block is not what was published", self._pool.path)
            self._forget(block.key)
            with suppress(LeaseLostError):
                self._own.remove(block.key)
            return False
        self._counters.add("pool", "bytes_out", shape.bytes)
        self._own.use(block.key)
        return True

    def _forget(self, key: bytes) -> bool:
        """It is not found again; whether this engine had published it."""
        with self._wake:
            self._others.discard(key)
        return self._own.forget(key)

    # --- writes ---

    def _do_writes(self, blocks: list[Block]) -> None:
        is_there, size = self._is_there(), self._memory.shape.bytes
        for block in blocks:
            if not is_there or time.monotonic() < self._paused_until_s:
                self._counters.add("pool", "refused")
                continue
            begun_ns = time.monotonic_ns()
            try:
                is_stored = self._own.publish(block, size)
                self._memory.moved([block] if is_stored else [], begun_ns)
            except NameTakenError:
                self._memory.note_behind(block.key)
            except TiermemError as error:
                self._paused_until_s = time.monotonic() + PAUSE_S
                self._counters.add("pool", "failed")
                log.warning("%s", error)
            else:
                self._count(block, size, is_stored=is_stored)

    def _count(self, block: Block, size: int, *, is_stored: bool) -> None:
        if not is_stored:
            self._counters.add("pool", "refused")
            return
        self._memory.note_behind(block.key)
        self._counters.add("pool", "stored")
        self._counters.add("pool", "bytes_in", size)


def _copy(to: int, from_: int, size_bytes: int) -> None:
    """The GIL is released."""
    lib.pool_copy_stream(ffi.cast("void *", to), ffi.cast("void *", from_), size_bytes)
    lib.pool_copy_fence()
