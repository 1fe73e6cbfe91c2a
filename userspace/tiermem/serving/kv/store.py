"""The tiers below an engine's own KV cache as one store: look up, stage, restore, save.

Memory and CXL memory are near: an engine restores from them straight. Pool and SSD are never
read so: blocks are staged in near memory first. So a restore is of blocks that are there and
pinned, and nothing is promised to an engine before that.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tiermem.layer.pool import Pool
from tiermem.serving.kv.behind import BehindMemory
from tiermem.serving.kv.cost import CostModel
from tiermem.serving.kv.counters import Blocks, Counters, TierName
from tiermem.serving.kv.demotion import Demotion
from tiermem.serving.kv.disk_file import DiskFile
from tiermem.serving.kv.disk_tier import DiskTier
from tiermem.serving.kv.eviction import PolicyName, make_policy
from tiermem.serving.kv.memory_tier import Block, MemoryTier, Region
from tiermem.serving.kv.near import NearMemory
from tiermem.serving.kv.pool_tier import PoolTier
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a tier is, in records of whole blocks."""

    capacity_bytes: int
    used_bytes: int


@dataclass(slots=True)
class Staging:
    """Blocks on their way to near memory, from the tiers that `sources` says; held: those that
    were there. `release` it once, also when it went wrong."""

    pins: list[Block]
    sources: dict[bytes, TierName] = field(default_factory=dict)
    held: Counter[TierName] = field(default_factory=Counter)
    pending: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_released: bool = False

    def wait(self, timeout_s: float) -> bool:
        """Whether all that can be had is there."""
        return self.is_over.wait(timeout_s)


class KvStore:
    """Threads may share it; `close` it. region, cxl: memories, which their owner closes
    afterwards; ssd: a file and its bytes; pool: what opens it as this host, and the bytes of this
    engine in it."""

    def __init__(
        self,
        region: Region,
        shape: RecordShape,
        block_tokens: int,
        identity: bytes,
        *,
        eviction: PolicyName = "lru",
        cxl: Region | None = None,
        ssd: tuple[Path, int] | None = None,
        pool: tuple[Callable[[], Pool], int] | None = None,
        transfers: Transfers | None = None,
    ) -> None:
        self.shape = shape
        self.block_tokens = block_tokens
        self.counters = Counters()
        self.cxl = None if cxl is None else self._tier(cxl, "cxl", eviction)
        self.memory = self._tier(region, "memory", eviction)
        self.near = NearMemory(self.memory, self.cxl)
        self.cost = CostModel(shape.bytes, block_tokens, staged_in=self.near.staging_tier.tier)
        self._demotion: Demotion | None = None
        # How many blocks of each memory all stagings hold that were there.
        self._holding, self._held = threading.Lock(), Counter[TierName]()
        self.disk: DiskTier | None = None
        self.pool: PoolTier | None = None
        # The faster one first.
        self._behind: list[BehindMemory] = []
        try:
            if self.cxl is not None:
                self._demotion = Demotion(self.memory, self.cxl, self.counters)
                self._demotion.start()
            if pool is not None:
                self.pool = self._with_pool(*pool, eviction)
            if ssd is not None:
                self.disk = self._with_disk(*ssd, identity, eviction, transfers)
        except BaseException:
            self.close()
            raise

    def _tier(self, region: Region, tier: TierName, eviction: PolicyName) -> MemoryTier:
        policy = make_policy(eviction, region.bytes // self.shape.bytes)
        return MemoryTier(region, self.shape, policy, self.counters, tier=tier)

    def _with_pool(
        self, open_pool: Callable[[], Pool], capacity_bytes: int, eviction: PolicyName
    ) -> PoolTier:
        tier = PoolTier(
            open_pool,
            capacity_bytes,
            self.near,
            make_policy(eviction, max(1, capacity_bytes // self.shape.bytes)),
            self.counters,
            rate=self.cost.note_transfer,
        )
        self._begin(tier)
        return tier

    def _with_disk(
        self,
        path: Path,
        capacity_bytes: int,
        identity: bytes,
        eviction: PolicyName,
        transfers: Transfers | None,
    ) -> DiskTier:
        file = DiskFile(path, capacity_bytes, self.shape, identity)
        tier = DiskTier(
            file,
            self.near,
            make_policy(eviction, max(1, file.places)),
            self.counters,
            rate=self.cost.note_transfer,
            transfers=transfers,
        )
        self._begin(tier)
        return tier

    def _begin(self, tier: BehindMemory) -> None:
        tier.start()
        self._behind.append(tier)

    def look_up(self, keys: Sequence[bytes]) -> tuple[Blocks, Blocks]:
        """How many can be restored at once, and how many follow, by the tiers that have them."""
        near: Blocks = {}
        behind: Blocks = {}
        for key, near_tier in zip(keys, self.near.tiers_of(keys), strict=True):
            tier = near_tier or self._tier_of(key)
            if tier is None:
                break
            found = near if near_tier and not behind else behind
            found[tier] = found.get(tier, 0) + 1
        return near, behind

    def fills(self) -> dict[TierName, Fill]:
        """By tier; of a pool what is this engine's."""
        tiers: list[tuple[TierName, MemoryTier | PoolTier | DiskTier | None]] = [
            ("memory", self.memory),
            ("cxl", self.cxl),
            ("pool", self.pool),
            ("ssd", self.disk),
        ]
        size = self.shape.bytes
        return {
            name: Fill(one.blocks_max * size, one.used_blocks * size) for name, one in tiers if one
        }

    @property
    def state(self) -> tuple[int, ...]:
        """Differs whenever `counters` or `fills` do; for those that ask often."""
        tiers = (self.memory, self.cxl, self.pool, self.disk)
        return (self.counters.changes, *(one.used_blocks for one in tiers if one))

    @property
    def staging_max(self) -> int:
        """How many blocks all stagings together should read: half of where they come to."""
        return max(1, self.near.staging_tier.blocks_max // 2)

    def stage(self, keys: Sequence[bytes]) -> Staging:
        """Bring them near; those that are there stay there meanwhile, but for what is more than
        a quarter of a memory."""
        staging = Staging([])
        # Else those that are not held would be the first to make room for what is read.
        self.near.use(keys)
        reads: list[tuple[BehindMemory, Block]] = []
        for depth, key in enumerate(keys):
            there = self.near.pin(key)
            if there is not None:
                self._hold(staging, there)
                continue
            source = next((one for one in self._behind if one.has(key)), None)
            block = self.near.reserve_staged(key, depth) if source else None
            if source is None or block is None:
                break
            staging.sources[key] = source.tier
            reads.append((source, block))
        staging.pending = len(reads)
        if self.near.staging_tier is self.memory:
            self._ask_demotion(came=len(reads))
        if not reads:
            staging.is_over.set()
        for source, block in reads:
            source.read(block, partial(self._arrive, staging))
        return staging

    def _hold(self, staging: Staging, block: Block) -> None:
        quarter = self.near.tier(block).blocks_max // 4
        with self._holding:
            is_held = self._held[block.tier] < quarter
            self._held[block.tier] += is_held
        if is_held:
            staging.held[block.tier] += 1
            staging.pins.append(block)
        else:
            self.near.unpin([block])

    def release(self, staging: Staging) -> None:
        """What was staged may go again, when its turn comes."""
        with staging.lock:
            pins, staging.pins = staging.pins, []
            staging.is_released = True
        with self._holding:
            self._held.subtract(staging.held)
            staging.held.clear()
        self.near.unpin(pins)

    def saved(self, blocks: Sequence[Block]) -> None:
        """They were filled and committed: have them written behind, and hold them no more."""
        self.counters.add("memory", "bytes_in", len(blocks) * self.shape.bytes)
        for one in self._behind:
            one.write([block.key for block in blocks])
        self.near.unpin(blocks)
        self._ask_demotion(came=len(blocks))

    def restored(self, blocks: Sequence[Block]) -> None:
        """They were copied to the engine, or turned out bad: hold them no more."""
        for tier, count in Counter(block.tier for block in blocks).items():
            self.counters.add(tier, "restored", count)
            self.counters.add(tier, "bytes_out", count * self.shape.bytes)
            if tier == "memory":
                self._ask_demotion(used=count)
        self.near.unpin(blocks)

    def clear(self) -> None:
        """Nothing of what was stored is found any more, here or by who opens the file next."""
        # Memory last: until the others are clear, blocks arrive from them.
        for one in self._behind:
            one.clear()
        if self._demotion is not None:
            self._demotion.clear()
        else:
            self.memory.clear()

    def flush(self, timeout_s: float) -> bool:
        """Wait until all tiers have what they are to have; False: not in time."""
        deadline_s = time.monotonic() + timeout_s
        waiting: list[BehindMemory | Demotion] = [*self._behind]
        if self._demotion is not None:
            waiting.append(self._demotion)
        return all(one.flush(deadline_s - time.monotonic()) for one in waiting)

    def close(self) -> None:
        """What no tier behind memory has yet is lost with it."""
        with ExitStack() as closing:
            for one in self._behind:
                closing.callback(one.close)
            if self._demotion is not None:
                closing.callback(self._demotion.close)

    def _ask_demotion(self, *, came: int = 0, used: int = 0) -> None:
        if self._demotion is not None:
            self._demotion.ask(came=came, used=used)

    def _tier_of(self, key: bytes) -> TierName | None:
        return next((one.tier for one in self._behind if one.has(key)), None)

    def _arrive(self, staging: Staging, block: Block, is_good: bool) -> None:
        tier = self.near.tier(block)
        if is_good:
            tier.commit(block, block.sums, is_behind=True)
        else:
            tier.abandon(block)
        with staging.lock:
            staging.pending -= 1
            keep = is_good and not staging.is_released
            if keep:
                staging.pins.append(block)
            is_over = staging.pending == 0
        if is_good and not keep:
            tier.unpin([block])
        if is_over:
            staging.is_over.set()
