"""The pool tier: blocks as extents of a pool, which all engines of all its hosts find.

A session that began on one host goes on from its KV on another. Each engine publishes
what it computed, up to its capacity, and removes the least worth of it; what it reads is
held for as long as it is copied, and checked like what comes from SSD.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import ClassVar

from tiermem.errors import DamagedError, MissingError, NameTakenError, NoSpaceError, TiermemError
from tiermem.layer.pool import Pool
from tiermem.layer.pool.local import ExtentId, is_running
from tiermem.native._pool import ffi, lib
from tiermem.serving.kv.behind import PAUSE_S, BehindMemory, Rate, Read, check_record
from tiermem.serving.kv.counters import Counters, TierName
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.record import memory_at

_PREFIX = "kv-"
# So old may be what is known of others' blocks: looking is a walk over the whole directory.
_LOOK_S = 0.1

log = logging.getLogger(__name__)


class PoolTier(BehindMemory):
    """`pool` was opened by the caller, who closes it afterwards. capacity_bytes: this engine's."""

    tier: ClassVar[TierName] = "pool"

    def __init__(
        self,
        pool: Pool,
        capacity_bytes: int,
        memory: MemoryTier,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        rate: Rate,
    ) -> None:
        """NoSpaceError where not one block fits into the capacity."""
        super().__init__(memory, counters, rate)
        if capacity_bytes < memory.shape.bytes:
            raise NoSpaceError(
                f"{pool.path}: a KV block of this engine takes {memory.shape.bytes} bytes in a pool"
            )
        self._pool, self._policy, self._capacity_bytes = pool, policy, capacity_bytes
        # Engines of other models may have left some, whose blocks are of other sizes.
        self._mine: dict[bytes, int] = {}
        self._others: set[bytes] = set()
        # Removed, and held by readers yet: they take space until those let go.
        self._leaving: dict[ExtentId, int] = {}
        self._look_at_s = 0.0
        self._paused_until_s = 0.0
        self._take_over()

    @property
    def used_blocks(self) -> int:
        """Blocks that this engine has published."""
        with self._wake:
            return len(self._mine)

    @property
    def blocks_max(self) -> int:
        """How many of this engine's would fit."""
        return self._capacity_bytes // self._memory.shape.bytes

    @property
    def used_bytes(self) -> int:
        """What they take in the pool, with what was removed and is being read yet."""
        with self._wake:
            return sum(self._mine.values()) + sum(self._leaving.values())

    def _has(self, key: bytes) -> bool:
        if key not in self._mine and time.monotonic() >= self._look_at_s:
            self._look()
        return key in self._mine or key in self._others

    def _look(self) -> None:
        try:
            names = [entry.name for entry in self._pool.entries() if not entry.is_damaged]
        except TiermemError as error:
            log.warning("%s", error)
            names = []
        known = (_key_of(name) for name in names)
        self._others = {key for key in known if key is not None} - self._mine.keys()
        self._look_at_s = time.monotonic() + _LOOK_S

    def _is_writable(self) -> bool:
        return True

    def _end(self) -> None:
        """What was published stays, for others and for who comes next."""

    def _forget_all(self) -> None:
        for key in list(self._mine):
            self._policy.remove(key)
            self._remove(key)

    def _take_over(self) -> None:
        """What engines of this host that are gone have published counts as this one's; what
        they had not finished is given back."""
        self._pool.collect()
        for entry in self._pool.entries():
            key = _key_of(entry.name)
            if (
                key is not None
                and not entry.is_damaged
                and entry.extent.host == self._pool.directory.host
                and not is_running(entry.holder)
            ):
                self._mine[key] = entry.bytes
                self._policy.insert(key, 1.0)
        while self.used_bytes > self._capacity_bytes and self._make_room():
            pass

    # --- reads ---

    def _do_reads(self, reads: list[Read]) -> None:
        for read in reads:
            read.end(is_good=self._read(read.block))

    def _read(self, block: Block) -> bool:
        shape = self._memory.shape
        begun_s = time.monotonic()
        try:
            with self._pool.open(_name_of(block.key), verify=False) as extent:
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
                    self._remove(block.key)
            return False
        self._rate(self.tier, shape.bytes, time.monotonic() - begun_s)
        if not check_record(block, shape):
            self._counters.add("pool", "corrupted")
            log.warning("%s: a KV block is not what was published", self._pool.path)
            self._forget(block.key)
            self._remove(block.key)
            return False
        self._counters.add("pool", "bytes_out", shape.bytes)
        with self._wake:
            if block.key in self._mine:
                self._policy.use(block.key)
        return True

    def _forget(self, key: bytes) -> bool:
        """It is not found again; whether this engine had published it."""
        with self._wake:
            self._others.discard(key)
            if key not in self._mine:
                return False
            del self._mine[key]
            self._policy.remove(key)
            return True

    # --- writes ---

    def _do_writes(self, blocks: list[Block]) -> None:
        for block in blocks:
            if time.monotonic() < self._paused_until_s:
                self._counters.add("pool", "refused")
                continue
            try:
                is_there = self._has_room() and self._publish(block)
            except TiermemError as error:
                self._paused_until_s = time.monotonic() + PAUSE_S
                self._counters.add("pool", "failed")
                log.warning("%s", error)
                continue
            if not is_there:
                self._counters.add("pool", "refused")

    def _has_room(self) -> bool:
        """For one more block, after some had to go."""
        size = self._memory.shape.bytes
        if self._leaving:
            self._pool.collect()
            self._look_who_left()
        while self.used_bytes + size > self._capacity_bytes:
            if not self._make_room():
                return False
        return True

    def _publish(self, block: Block) -> bool:
        """Whether the pool has it now."""
        size = self._memory.shape.bytes
        while True:
            try:
                self._pool.publish(_name_of(block.key), memory_at(block.address, size))
            except NameTakenError:
                block.is_behind = True
                return True
            except NoSpaceError:
                if self._pool.collect() or self._make_room():
                    continue
                return False
            block.is_behind = True
            self._counters.add("pool", "stored")
            self._counters.add("pool", "bytes_in", size)
            with self._wake:
                self._mine[block.key] = size
                self._policy.insert(block.key, float(block.depth + 1))
            return True

    def _make_room(self) -> bool:
        """One of this engine's blocks goes; whether there was one."""
        with self._wake:
            victim = self._policy.victim(lambda key: key not in self._busy)
            if victim is None:
                return False
        self._counters.add("pool", "evicted")
        self._remove(victim)
        return True

    def _remove(self, key: bytes) -> None:
        """Unpublish. Its space counts as this engine's until nobody reads it any more."""
        with self._wake:
            self._mine.pop(key, None)
        try:
            entry = self._pool.find(_name_of(key))
        except DamagedError:
            return
        if entry is None:
            return
        with self._wake:
            if entry.extent.host == self._pool.directory.host:
                self._leaving[entry.extent] = entry.bytes
        with suppress(MissingError):
            self._pool.remove(_name_of(key))
        self._pool.collect()
        self._look_who_left()

    def _look_who_left(self) -> None:
        if self._leaving:
            there = {entry.extent for entry in self._pool.entries(unfinished=True)}
            with self._wake:
                self._leaving = {
                    extent: size for extent, size in self._leaving.items() if extent in there
                }


def _copy(to: int, from_: int, size_bytes: int) -> None:
    """The GIL is released."""
    lib.pool_copy_stream(ffi.cast("void *", to), ffi.cast("void *", from_), size_bytes)
    lib.pool_copy_fence()


def _name_of(key: bytes) -> str:
    return _PREFIX + key.hex()


def _key_of(name: str) -> bytes | None:
    if not name.startswith(_PREFIX):
        return None
    try:
        return bytes.fromhex(name.removeprefix(_PREFIX))
    except ValueError:
        return None
