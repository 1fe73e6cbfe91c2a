"""What an engine restores from straight: memory, and CXL memory below it where there is some.

A block is in either, or in both for a while (`demotion`). What an engine made comes to memory;
what is staged comes to the larger of the two, so that it pushes out as little as can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tiermem.serving.kv.counters import Blocks, TierName
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.record import RecordShape


class NearMemory:
    """Threads may share it. All calls are short, as those of the tiers."""

    def __init__(self, memory: MemoryTier, cxl: MemoryTier | None) -> None:
        self.memory, self.cxl = memory, cxl
        # Where a block is in both, the faster one's counts.
        self.tiers = (memory,) if cxl is None else (memory, cxl)
        self._by_name: Mapping[TierName, MemoryTier] = {one.tier: one for one in self.tiers}
        # Of equals the slower.
        for one in self.tiers:
            one.others = [other for other in self.tiers if other is not one]
        self.staging_tier = max(reversed(self.tiers), key=lambda one: one.blocks_max)

    @property
    def shape(self) -> RecordShape:
        """Of every block."""
        return self.memory.shape

    def tier(self, block: Block) -> MemoryTier:
        """Where it is."""
        return self._by_name[block.tier]

    def tier_of(self, key: bytes) -> TierName | None:
        """Where it would be found now."""
        # A block is below before it leaves memory, so it is missed by neither look.
        return next((one.tier for one in self.tiers if one.has(key)), None)

    def prefix(self, keys: Sequence[bytes]) -> Blocks:
        """How many of them, from the first one on, are there, by where they are."""
        found: Blocks = {}
        for there in zip(*(tier.there(keys) for tier in self.tiers), strict=True):
            if not any(there):
                break
            name = self.tiers[there.index(True)].tier
            found[name] = found.get(name, 0) + 1
        return found

    def pin(self, key: bytes) -> Block | None:
        """One, held until `unpin`; it does not count as used."""
        for tier in self.tiers:
            if (block := tier.pin(key)) is not None:
                return block
        return None

    def pin_prefix(self, keys: Sequence[bytes]) -> list[Block]:
        """Those of the prefix, held, and used, wherever they are: the last ones least, for they go
        first."""
        found: list[Block] = []
        others: list[Block] = []
        is_prefix = True
        for pinned in zip(*(tier.pin_all(keys) for tier in self.tiers), strict=True):
            there = [block for block in pinned if block is not None]
            is_prefix = is_prefix and bool(there)
            found += there[: int(is_prefix)]
            others += there[int(is_prefix) :]
        self.unpin(others)
        for tier in self.tiers:
            tier.use(block.key for block in reversed(found))
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

    def note_behind(self, key: bytes) -> None:
        """A tier behind has it."""
        for tier in self.tiers:
            tier.note_behind(key)
