"""The tiers below an engine's own KV cache as one store: look up, stage, restore, save.

SSD is never read straight into an engine: its blocks are staged in memory first. So a
restore is of blocks that are in memory and pinned there, and nothing is promised to an
engine before that.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tiermem.serving.kv.cost import CostModel
from tiermem.serving.kv.counters import Counters
from tiermem.serving.kv.disk_file import DiskFile
from tiermem.serving.kv.disk_tier import DiskTier
from tiermem.serving.kv.eviction import PolicyName, make_policy
from tiermem.serving.kv.memory_tier import Block, MemoryTier, Region
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.transfers import Transfers


@dataclass(slots=True)
class Staging:
    """Blocks on their way from SSD to memory. `release` it once, also when it went wrong."""

    pins: list[Block]
    pending: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_released: bool = False

    def wait(self, timeout_s: float) -> bool:
        """Whether all that can be had is in memory."""
        return self.is_over.wait(timeout_s)


class KvStore:
    """Threads may share it; `close` it. ssd: a file and its bytes; None: memory only."""

    def __init__(
        self,
        region: Region,
        shape: RecordShape,
        block_tokens: int,
        identity: bytes,
        *,
        eviction: PolicyName = "lru",
        ssd: tuple[Path, int] | None = None,
        transfers: Transfers | None = None,
    ) -> None:
        self.shape = shape
        self.block_tokens = block_tokens
        self.counters = Counters()
        self.cost = CostModel(shape.bytes, block_tokens)
        blocks = region.bytes // shape.bytes
        self.memory = MemoryTier(region, shape, make_policy(eviction, blocks), self.counters)
        self.disk: DiskTier | None = None
        if ssd is not None:
            path, capacity_bytes = ssd
            file = DiskFile(path, capacity_bytes, shape, identity)
            self.disk = DiskTier(
                file,
                self.memory,
                make_policy(eviction, max(1, file.places)),
                self.counters,
                rate=lambda size, seconds: self.cost.note_transfer("ssd", size, seconds),
                transfers=transfers,
            )

    def look_up(self, keys: Sequence[bytes]) -> tuple[int, int]:
        """How many are in memory, and how many follow of which each is in memory or on SSD."""
        memory = self.memory.prefix(keys)
        total = memory
        if self.disk is not None:
            for key in keys[memory:]:
                if not (self.disk.has(key) or self.memory.has(key)):
                    break
                total += 1
        return memory, total - memory

    def stage(self, keys: Sequence[bytes]) -> Staging:
        """Bring them to memory; those that are there stay there meanwhile.

        At most half of the memory tier is taken for it: the rest is left to be computed.
        """
        most = max(1, self.memory.blocks_max // 2)
        staging = Staging([])
        reads: list[Block] = []
        for depth, key in enumerate(keys[:most]):
            there = self.memory.pin(key)
            if there is not None:
                staging.pins.append(there)
                continue
            block = self.memory.reserve(key, depth)
            if block is None:
                break
            reads.append(block)
        staging.pending = len(reads)
        if self.disk is None or not reads:
            staging.is_over.set()
        else:
            for block in reads:
                self.disk.read(block, lambda one, is_good: self._arrive(staging, one, is_good))
        return staging

    def release(self, staging: Staging) -> None:
        """What was staged may go again, when its turn comes."""
        with staging.lock:
            pins, staging.pins = staging.pins, []
            staging.is_released = True
        self.memory.unpin(pins)

    def saved(self, blocks: Sequence[Block]) -> None:
        """They were filled and committed: have them written behind, and hold them no more."""
        self.counters.add("memory", "bytes_in", len(blocks) * self.shape.bytes)
        if self.disk is not None:
            self.disk.write([block.key for block in blocks])
        self.memory.unpin(blocks)

    def restored(self, blocks: Sequence[Block]) -> None:
        """They were copied to the engine, or turned out bad: hold them no more."""
        self.counters.add("memory", "restored", len(blocks))
        self.counters.add("memory", "bytes_out", len(blocks) * self.shape.bytes)
        self.memory.unpin(blocks)

    def clear(self) -> None:
        """Nothing of what was stored is found any more, here or by who opens the file next."""
        self.memory.clear()
        if self.disk is not None:
            self.disk.clear()

    def flush(self, timeout_s: float) -> bool:
        """Wait until SSD has what it is to have; whether it had in time."""
        return self.disk is None or self.disk.flush(timeout_s)

    def close(self) -> None:
        """What SSD does not have yet is lost with the memory."""
        if self.disk is not None:
            self.disk.close()

    def _arrive(self, staging: Staging, block: Block, is_good: bool) -> None:
        if is_good:
            self.memory.commit(block, block.sums, is_on_disk=True)
        else:
            self.memory.abandon(block)
        with staging.lock:
            staging.pending -= 1
            keep = is_good and not staging.is_released
            if keep:
                staging.pins.append(block)
            is_over = staging.pending == 0
        if is_good and not keep:
            self.memory.unpin([block])
        if is_over:
            staging.is_over.set()
