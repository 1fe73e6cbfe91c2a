"""Which pages of an arena are hot, as a tracker sees frames.

The layer knows no tracker: who asks gives a `HotnessSource`, a call that returns the
frames that are hot now, or None where nothing tracks them. `tiermem.m5.hot_frames` asks
M5's daemon.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.pagemap import CHUNK_PAGES, U64, PagemapFile


@dataclass(frozen=True)
class HotFrames:
    """Page frames that were read much lately: `reads_per_s[i]` is of `pfns[i]`."""

    pfns: U64
    reads_per_s: npt.NDArray[np.float64]


HotnessSource = Callable[[], HotFrames | None]


@dataclass(frozen=True)
class HotPages:
    """The hot pages of an arena: offsets into it, ascending, and their reads a second."""

    offsets: U64
    reads_per_s: npt.NDArray[np.float64]

    @property
    def bytes(self) -> int:
        """All of them."""
        return len(self.offsets) * PAGE_BYTES


def hot_pages(address: int, size_bytes: int, frames: HotFrames, pid: int | None = None) -> HotPages:
    """Those pages of [address, address + size_bytes) of a process (this one) that `frames` has.

    MissingError without the right to see page frame numbers (CAP_SYS_ADMIN), and where the process
    has ended.
    """
    first = address // PAGE_BYTES
    pages = -(-(address + size_bytes) // PAGE_BYTES) - first
    order = np.argsort(frames.pfns)
    hot, rates = frames.pfns[order], frames.reads_per_s[order]
    numbers = [np.empty(0, dtype=np.uint64)]
    reads_per_s = [np.empty(0)]
    with PagemapFile(os.getpid() if pid is None else pid) as file:
        for start in range(0, pages if len(hot) else 0, CHUNK_PAGES):
            count = min(CHUNK_PAGES, pages - start)
            pfns = file.read((first + start) * PAGE_BYTES, count).pfns
            places = np.minimum(np.searchsorted(hot, pfns), len(hot) - 1)
            found = np.flatnonzero((pfns != 0) & (hot[places] == pfns))
            numbers.append(found.astype(np.uint64) + np.uint64(start))
            reads_per_s.append(rates[places[found]])
    return HotPages(np.concatenate(numbers) * np.uint64(PAGE_BYTES), np.concatenate(reads_per_s))
