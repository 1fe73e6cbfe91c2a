"""Eviction by what a block costs to make again: GreedyDual, for blocks of one size.

A block's worth is its cost on top of what the last victim was worth when it went, and is
that again on each use. So a dear block outlasts cheap ones, but not for ever unused.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from tiermem.serving.kv.eviction import MayGo


class CostAware:
    """The least worth goes; of equals, the one whose worth is oldest."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._costs: dict[bytes, float] = {}
        # Entries that are not the key's last are of the past, and dropped when they come up.
        self._last: dict[bytes, int] = {}
        self._heap: list[tuple[float, int, bytes]] = []
        self._numbers = count()

    def insert(self, key: bytes, cost: float) -> None:
        """Worth `cost` more than what is thrown away now."""
        self._costs[key] = cost
        self._push(key)

    def use(self, key: bytes) -> None:
        """Worth as much as if it had come now."""
        self._push(key)

    def remove(self, key: bytes) -> None:
        """Says nothing of what is worth keeping."""
        del self._costs[key], self._last[key]

    def victim(self, may_go: MayGo) -> bytes | None:
        """Whoever is passed over because it may not go now stays where it was."""
        passed: list[tuple[float, int, bytes]] = []
        found: bytes | None = None
        while self._heap and found is None:
            entry = heapq.heappop(self._heap)
            worth, number, key = entry
            if self._last.get(key) != number:
                continue
            if may_go(key):
                found = key
                self._floor = worth
                self.remove(key)
            else:
                passed.append(entry)
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def order(self) -> Iterator[bytes]:
        """Those of least worth first."""
        heap = self._heap.copy()
        while heap:
            _, number, key = heapq.heappop(heap)
            if self._last.get(key) == number:
                yield key

    def _push(self, key: bytes) -> None:
        number = next(self._numbers)
        self._last[key] = number
        heapq.heappush(self._heap, (self._floor + self._costs[key], number, key))
        # Past entries are no more than those that count, in the long run.
        if len(self._heap) > 2 * len(self._last) + 16:
            self._heap = [entry for entry in self._heap if self._last.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)
