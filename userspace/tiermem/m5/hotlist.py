"""Hotness as trackers yield it: addresses and counts in two parallel arrays."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

PAGE_SHIFT = 12
PAGE_BYTES = 1 << PAGE_SHIFT
LINE_SHIFT = 6
LINES_PER_PAGE = 1 << (PAGE_SHIFT - LINE_SHIFT)

U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]


class Unit(Enum):
    """What one address of a list names."""

    PAGE = PAGE_SHIFT
    LINE = LINE_SHIFT


@dataclass(frozen=True, slots=True)
class HotList:
    """One list of a tracker, in any order.

    `addresses` are physical byte addresses aligned to `unit`, each once, `counts` the
    reads each got during `interval_ns`; both are uint64 of the same length.
    """

    unit: Unit
    addresses: U64
    counts: U64
    interval_ns: int

    def __post_init__(self) -> None:
        if self.addresses.shape != self.counts.shape or self.addresses.ndim != 1:
            raise ValueError(
                f"hot list: {self.addresses.shape} addresses do not match "
                f"{self.counts.shape} counts"
            )

    @property
    def pages(self) -> U64:
        """Page number (PFN) of each entry."""
        return np.right_shift(self.addresses, np.uint64(PAGE_SHIFT))

    @property
    def line_bits(self) -> U64:
        """One-hot bit of each entry's 64 B line within its page (LINE lists)."""
        line = (self.addresses >> np.uint64(LINE_SHIFT)) & np.uint64(LINES_PER_PAGE - 1)
        return np.asarray(np.left_shift(np.uint64(1), line), dtype=np.uint64)


def empty_list(unit: Unit, interval_ns: int = 0) -> HotList:
    """A list without entries."""
    none = np.empty(0, dtype=np.uint64)
    return HotList(unit, none, none, interval_ns)


def popcount(masks: U64) -> npt.NDArray[np.uint8]:
    """Set bits of each 64-bit mask."""
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(masks), dtype=np.uint8)
    bytes_of_masks = np.ascontiguousarray(masks).view(np.uint8).reshape(-1, 8)
    bits = np.unpackbits(bytes_of_masks, axis=1)
    return np.asarray(bits.sum(axis=1), dtype=np.uint8)
