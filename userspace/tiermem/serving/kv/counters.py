"""What happened in the KV tiers, since the start: read by metrics, by tests, by people."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal

TierName = Literal["memory", "cxl", "pool", "ssd"]
NEAR: tuple[TierName, ...] = ("memory", "cxl")
"""Those that engines restore from straight."""
Blocks = dict[TierName, int]
"""How many, by the tiers that have them."""
Event = Literal[
    "hits",  # blocks that were found, by the tier that had them
    "misses",  # blocks that no tier had
    "stored",  # blocks that came into the tier
    "evicted",
    "lost",  # blocks that left a memory before any other tier had them
    "restored",  # blocks that were copied back to an engine
    "recomputed",  # blocks that a tier had, and the cost model left to be computed
    "corrupted",  # blocks whose checksum was wrong
    "short",  # blocks of which a part was missing
    "failed",  # reads or writes that ended in an error
    "refused",  # blocks that the tier had no room for
    "reopened",  # a pool, after this host may have been taken for dead
    "bytes_in",
    "bytes_out",
]


class Counters:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._changes = 0

    @property
    def changes(self) -> int:
        """Another number whenever something has happened."""
        return self._changes

    def add(self, tier: TierName, event: Event, count: int = 1) -> None:
        """`count` more of it."""
        with self._lock:
            self._counts[tier, event] += count
            self._changes += 1

    def get(self, tier: TierName, event: Event) -> int:
        """How many there were."""
        with self._lock:
            return self._counts[tier, event]

    def snapshot(self) -> dict[str, dict[str, int]]:
        """By tier and event, as JSON has it; what never happened is left out."""
        with self._lock:
            found: dict[str, dict[str, int]] = {}
            for (tier, event), count in self._counts.items():
                found.setdefault(tier, {})[event] = count
            return found
