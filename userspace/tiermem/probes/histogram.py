"""Log2 histograms of nanoseconds, as the programs in ebpf/ count them.

Layout of the C side (`struct latency` in ebpf/latency.h): the sum, then 64
slots; slot i counts values in [2^i, 2^(i+1)), slot 0 also zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SLOTS = 64
LATENCY = np.dtype([("total_ns", "<u8"), ("slots", "<u8", (SLOTS,))])


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts by power of two; `slots` has shape (64,), uint64; `total_ns` is their exact sum."""

    slots: NDArray[np.uint64]
    total_ns: int

    @classmethod
    def empty(cls) -> Histogram:
        return cls(np.zeros(SLOTS, dtype=np.uint64), 0)

    @classmethod
    def of_leaf(cls, leaf: np.void) -> Histogram:
        """From one `struct latency` (a scalar of dtype LATENCY)."""
        return cls(np.array(leaf["slots"], dtype=np.uint64), int(leaf["total_ns"]))

    @property
    def count(self) -> int:
        return int(self.slots.sum())

    @property
    def mean_ns(self) -> float:
        """The exact mean; 0 where nothing was counted."""
        return self.total_ns / self.count if self.count else 0.0

    def quantile_ns(self, fraction: float) -> float:
        """The value below which `fraction` (0 to 1) of the counts lie.

        Linear inside a slot, so the error is at most that slot's width (a
        factor of two); 0 where nothing was counted.
        """
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"quantile {fraction}: allowed is 0 to 1")
        if self.count == 0:
            return 0.0
        wanted = fraction * self.count
        below = np.cumsum(self.slots) - self.slots
        slot = int(np.flatnonzero((below <= wanted) & (self.slots > 0))[-1])
        inside = min((wanted - float(below[slot])) / float(self.slots[slot]), 1.0)
        low = 0.0 if slot == 0 else float(2**slot)
        return low + inside * (float(2 ** (slot + 1)) - low)

    def minus(self, earlier: Histogram) -> Histogram:
        """What was counted since `earlier`, a reading of the same histogram."""
        return Histogram(self.slots - earlier.slots, self.total_ns - earlier.total_ns)

    def plus(self, other: Histogram) -> Histogram:
        return Histogram(self.slots + other.slots, self.total_ns + other.total_ns)

    def as_dict(self) -> dict[str, Any]:
        """Flat figures and the filled slots by their lower bound, for JSON."""
        filled = np.flatnonzero(self.slots)
        return {
            "count": self.count,
            "total_ns": self.total_ns,
            "mean_ns": round(self.mean_ns, 1),
            "p50_ns": round(self.quantile_ns(0.50), 1),
            "p99_ns": round(self.quantile_ns(0.99), 1),
            "slots_from_ns": {
                str(0 if i == 0 else 2 ** int(i)): int(self.slots[i]) for i in filled
            },
        }
