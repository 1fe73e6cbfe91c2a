"""What this engine has in a pool: blocks as extents, up to a capacity, the least worth removed.

Blocks that engines of this host have left count as this one's. What was removed counts until
nobody reads it any more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Condition

from tiermem.errors import DamagedError, MissingError, NoSpaceError
from tiermem.layer.pool import Pool
from tiermem.layer.pool.directory import State
from tiermem.layer.pool.local import ExtentId, is_running, process_identity
from tiermem.serving.kv.counters import Counters
from tiermem.serving.kv.eviction import EvictionPolicy
from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.record import memory_at

_PREFIX = "kv-"


class OwnBlocks:
    """One thread publishes and removes; `lock` guards what others may ask meanwhile.

    is_free: whether a block may go now.
    """

    def __init__(
        self,
        capacity_bytes: int,
        policy: EvictionPolicy,
        counters: Counters,
        *,
        lock: Condition,
        is_free: Callable[[bytes], bool],
    ) -> None:
        self._capacity_bytes, self._policy = capacity_bytes, policy
        self._counters, self._lock, self._is_free = counters, lock, is_free
        self._pool: Pool
        # Engines of other models may have left some, whose blocks are of other sizes.
        self._sizes: dict[bytes, int] = {}
        # Removed, and held by readers yet.
        self._leaving: dict[ExtentId, int] = {}

    def __contains__(self, key: bytes) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        with self._lock:
            return len(self._sizes)

    def published(self) -> set[bytes]:
        """Their keys."""
        with self._lock:
            return set(self._sizes)

    @property
    def used_bytes(self) -> int:
        """What they take in the pool, with what was removed and is being read yet."""
        with self._lock:
            return sum(self._sizes.values()) + sum(self._leaving.values())

    def take_over(self, pool: Pool) -> None:
        """What engines of this host that are gone have in this pool, or this process had, counts
        as this one's; what the gone had not finished is given back."""
        self._pool = pool
        pool.collect()
        own = process_identity(os.getpid())
        for entry in pool.entries(unfinished=True):
            key = key_of(entry.name)
            if (
                key is None
                or entry.is_damaged
                or entry.extent.host != pool.directory.host
                or (entry.holder != own and is_running(entry.holder))
            ):
                continue
            if entry.state is State.PUBLISHED:
                self._note(key, entry.bytes, worth=1.0)
            elif entry.state is State.CONDEMNED:
                with self._lock:
                    self._leaving[entry.extent] = entry.bytes
        while self.used_bytes > self._capacity_bytes and self._make_room():
            pass

    def lose(self) -> None:
        """None of them counts any more, until the next `take_over`."""
        for key in self.published():
            self.forget(key)
        with self._lock:
            self._leaving.clear()

    def use(self, key: bytes) -> None:
        """It was read."""
        with self._lock:
            if key in self._sizes:
                self._policy.use(key)

    def forget(self, key: bytes) -> bool:
        """It does not count any more; whether it did."""
        with self._lock:
            if self._sizes.pop(key, None) is None:
                return False
            self._policy.remove(key)
            return True

    def publish(self, block: Block, size: int) -> bool:
        """Whether the pool has it now; NameTakenError where it had it before. Others go for it."""
        if self._leaving:
            self._pool.collect()
            self._look_who_left()
        while self.used_bytes + size > self._capacity_bytes:
            if not self._make_room():
                return False
        while True:
            try:
                self._pool.publish(name_of(block.key), memory_at(block.address, size))
            except NoSpaceError:
                if self._pool.collect() or self._make_room():
                    continue
                return False
            self._note(block.key, size, worth=float(block.depth + 1))
            return True

    def remove(self, key: bytes) -> None:
        """Unpublish, whoever's it is. Its space counts as this engine's, if it was, until nobody
        reads it any more."""
        self.forget(key)
        try:
            entry = self._pool.find(name_of(key))
        except DamagedError:
            return
        if entry is None:
            return
        with self._lock:
            if entry.extent.host == self._pool.directory.host:
                self._leaving[entry.extent] = entry.bytes
        with suppress(MissingError):
            self._pool.remove(name_of(key))
        self._pool.collect()
        self._look_who_left()

    def _note(self, key: bytes, size: int, worth: float) -> None:
        with self._lock:
            self._sizes[key] = size
            self._policy.insert(key, worth)

    def _make_room(self) -> bool:
        """One of them goes; whether there was one."""
        with self._lock:
            # The policy has forgotten it then.
            victim = self._policy.victim(self._is_free)
            if victim is None:
                return False
            del self._sizes[victim]
        self._counters.add("pool", "evicted")
        self.remove(victim)
        return True

    def _look_who_left(self) -> None:
        if self._leaving:
            there = {entry.extent for entry in self._pool.entries(unfinished=True)}
            with self._lock:
                self._leaving = {
                    extent: size for extent, size in self._leaving.items() if extent in there
                }


def name_of(key: bytes) -> str:
    """Of its extent."""
    return _PREFIX + key.hex()


def key_of(name: str) -> bytes | None:
    """None for an extent of somebody else's."""
    if not name.startswith(_PREFIX):
        return None
    try:
        return bytes.fromhex(name.removeprefix(_PREFIX))
    except ValueError:
        return None
