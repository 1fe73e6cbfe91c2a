"""What an engine restores from straight: memory, and CXL memory below it where there is some.

A block is in either, or in both for a while (`demotion`). What an engine made comes to memory;
what is staged comes to the larger of the two, so that it pushes out as little as can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiermem.native._kv import lib
from tiermem.serving.kv.counters import TierName
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.record import RecordShape


class NearMemory:
    """Threads may share it. All calls are short, as those of the tiers."""

    def __init__(self, memory: MemoryTier, cxl: MemoryTier | None) -> None:
        self.memory, self.cxl = memory, cxl
        # Where a block is in both, the faster one's counts.
        self.tiers = (memory,) if cxl is None else (memory, cxl)
        self._by_name: Mapping[TierName, MemoryTier] = {one.tier: one for one in self.tiers}
        for one in self.tiers:
            one.others = [other for other in self.tiers if other is not one]
        # Of equals the slower.
        self.staging_tier = max(reversed(self.tiers), key=lambda one: one.blocks_max)

    @property
    def shape(self) -> RecordShape:
        """Of every block."""
        return self.memory.shape

    def tier(self, block: Block) -> MemoryTier:
        """Where it is."""
        return self._by_name[block.tier]

    def tiers_of(self, keys: Sequence[bytes]) -> list[TierName | None]:
        """Of each, where it would be found now."""
        # A block is below before it leaves memory, so it is missed by neither look.
        looks = zip(*(tier.there(keys) for tier in self.tiers), strict=True)
        return [self.tiers[there.index(True)].tier if any(there) else None for there in looks]

    def use(self, keys: Sequence[bytes]) -> None:
        """They were asked for, those that are there, wherever: the last ones least, for they go
        first."""
        for tier in self.tiers:
            tier.use(reversed(keys))

    def pin(self, key: bytes) -> Block | None:
        """One, held until `unpin`; it does not count as used."""
        for tier in self.tiers:
            if (block := tier.pin(key)) is not None:
                return block
        return None

    def pin_prefix(self, keys: Sequence[bytes]) -> list[Block]:
        """Those from the first one on that are there, held, and used."""
        found: list[Block] = []
        others: list[Block] = []
        is_prefix = True
        for pinned in zip(*(tier.pin_all(keys) for tier in self.tiers), strict=True):
            there = [block for block in pinned if block is not None]
            is_prefix = is_prefix and bool(there)
            found += there[: int(is_prefix)]
            others += there[int(is_prefix) :]
        self.unpin(others)
        self.use([block.key for block in found])
        return found

    def unpin(self, blocks: Sequence[Block]) -> None:
        """Not held any more."""
        for tier in self.tiers:
            tier.unpin([block for block in blocks if block.tier == tier.tier])

    def reserve(self, key: bytes, depth: int, *, is_computed: bool = True) -> Block | None:
        """A place for what an engine has, see `MemoryTier`. None also where CXL memory has it,
        unless it was computed all the same: what is there is bad, or too slow to restore."""
        if not is_computed and self.cxl is not None and self.cxl.has(key):
            return None
        return self.memory.reserve(key, depth)

    def reserve_staged(self, key: bytes, depth: int) -> Block | None:
        """A place for what comes from a tier behind."""
        return self.staging_tier.reserve(key, depth)

    def moved(self, blocks: Sequence[Block], begun_ns: int) -> None:
        """A tier behind has read these or filled them since then (time.monotonic_ns), other than by
        paced copies: an emulated memory takes its time for that too."""
        for tier in self.tiers:
            count = sum(block.tier == tier.tier for block in blocks)
            lib.paced_transfer(tier.pace, begun_ns, count * tier.shape.bytes)

    def note_behind(self, key: bytes) -> None:
        """A tier behind has it."""
        for tier in self.tiers:
            tier.note_behind(key)
