"""The trackers in plain Python and numpy, as their headers describe them.

Written for being obviously right: no tables folded, no lists linked. The tests
hold the C against it, bit for bit.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

import numpy as np

MASK64 = 2**64 - 1


def splitmix64(seed: int, draws: int) -> list[int]:
    out = []
    state = seed
    for _ in range(draws):
        state = (state + 0x9E3779B97F4A7C15) & MASK64
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
        out.append(z ^ (z >> 31))
    return out


class H3:
    """XOR of one table entry for each set bit of the key."""

    def __init__(self, rows: int, columns: int, seed: int) -> None:
        drawn = np.array(splitmix64(seed, 64 * rows), dtype=np.uint64) >> np.uint64(32)
        self.entries = (drawn & np.uint64(columns - 1)).reshape(64, rows)

    def columns_of(self, key: int) -> np.ndarray:
        bits = np.flatnonzero(np.array([key >> bit & 1 for bit in range(64)]))
        return np.bitwise_xor.reduce(self.entries[bits], axis=0, initial=np.uint64(0))


class Sketch:
    def __init__(self, rows: int, columns: int, counter_bits: int, seed: int) -> None:
        self.h3 = H3(rows, columns, seed)
        self.counters = np.zeros((rows, columns), dtype=np.uint64)
        self.max = 2**counter_bits - 1
        self.rows = np.arange(rows)
        self.columns_of = cache(lambda key: self.h3.columns_of(key).astype(int))

    def add(self, key: int) -> int:
        at = (self.rows, self.columns_of(key))
        self.counters[at] = np.minimum(self.counters[at] + np.uint64(1), np.uint64(self.max))
        return int(self.counters[at].min())


class Ranking:
    """A list kept sorted as a shift register keeps it."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.entries: list[tuple[int, int]] = []
        self.counts: dict[int, int] = {}

    @property
    def floor(self) -> int:
        return self.entries[-1][1] if len(self.entries) == self.capacity else 0

    def count(self, key: int) -> int:
        return self.counts.get(key, 0)

    def drop_last(self) -> None:
        del self.counts[self.entries.pop()[0]]

    def put(self, key: int, count: int) -> None:
        old = self.count(key)
        if old >= count:
            return
        if old:
            self.entries.remove((key, old))
        elif len(self.entries) == self.capacity:
            self.drop_last()
        behind = bisect_right(self.entries, -count, key=lambda entry: -entry[1])
        self.entries.insert(behind, (key, count))
        self.counts[key] = count


class SketchTopK:
    def __init__(self, entries: int, rows: int, columns: int, counter_bits: int, seed: int) -> None:
        self.sketch = Sketch(rows, columns, counter_bits, seed)
        self.cam = Ranking(entries)

    def add(self, key: int) -> None:
        estimate = self.sketch.add(key)
        if self.cam.count(key) or estimate > self.cam.floor:
            self.cam.put(key, estimate)

    def list(self) -> list[tuple[int, int]]:
        return self.cam.entries


class SpaceSaving:
    def __init__(self, entries: int, counter_bits: int) -> None:
        self.summary = Ranking(entries)
        self.max = 2**counter_bits - 1

    def add(self, key: int) -> None:
        count = (self.summary.count(key) or self.summary.floor) + 1
        if count > self.max and not self.summary.count(key):
            # A saturated newcomer still takes the last place, with the count it found.
            self.summary.drop_last()
        self.summary.put(key, min(count, self.max))

    def list(self) -> list[tuple[int, int]]:
        return self.summary.entries
