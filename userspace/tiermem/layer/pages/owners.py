"""Which process and address a page frame belongs to.

The kernel has no call for it, so the page maps of the processes in question are
searched. `find_owners` does that once, for a set of frames. `FrameIndex` keeps
a sorted copy for many look-ups in a row; pages move, so what it answers can be
checked against the page map as it is now (`still_true`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tiermem.errors import KernelError, ProcessGoneError
from tiermem.layer.pages.pagemap import U64, PagemapFile, read_process_pages

_PFN_MASK = np.uint64((1 << 55) - 1)
_PRESENT = np.uint64(1 << 63)


@dataclass(frozen=True)
class Owners:
    """Row i: frame `pfns[i]` backs `addresses[i]` of process `pids[i]`.

    A frame that several processes (or addresses) map has several rows; one that
    none of them maps has none. Rows are in order of frame.
    """

    pfns: U64
    pids: npt.NDArray[np.int64]
    addresses: U64

    def __len__(self) -> int:
        return len(self.pfns)

    def of_pid(self, pid: int) -> Owners:
        """The rows of one process."""
        return self._take(self.pids == pid)

    def first_of_each(self) -> Owners:
        """One row a frame: the first."""
        _, first = np.unique(self.pfns, return_index=True)
        return self._take(first)

    def still_true(self, proc: Path = Path("/proc")) -> Owners:
        """The rows whose page is still where the row says, by the page maps now."""
        keep = np.zeros(len(self), dtype=np.bool_)
        for pid in np.unique(self.pids).tolist():
            rows = np.flatnonzero(self.pids == pid)
            try:
                with PagemapFile(pid, proc) as file:
                    words = file.words_at(self.addresses[rows])
            except (ProcessGoneError, KernelError):
                continue
            keep[rows] = (words & _PRESENT != 0) & (words & _PFN_MASK == self.pfns[rows])
        return self._take(keep)

    def _take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Owners:
        return Owners(self.pfns[rows], self.pids[rows], self.addresses[rows])


def find_owners(pfns: U64, pids: Iterable[int], proc: Path = Path("/proc")) -> Owners:
    """Who of `pids` maps which of `pfns`. Processes that end meanwhile are left out."""
    wanted = np.unique(pfns)
    parts = []
    if len(wanted):
        for pid in pids:
            parts.append(_rows_of(pid, wanted, proc))
    return _sorted(parts)


class FrameIndex:
    """All frames of some processes, sorted, as they were when it was built."""

    def __init__(self, pids: Sequence[int], proc: Path = Path("/proc")) -> None:
        self._rows = _sorted([_rows_of(pid, None, proc) for pid in pids])

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, pfns: U64) -> Owners:
        """The rows of these frames, in order of frame."""
        wanted = np.unique(pfns)
        first = np.searchsorted(self._rows.pfns, wanted, side="left")
        end = np.searchsorted(self._rows.pfns, wanted, side="right")
        counts = end - first
        # first[i], first[i] + 1, … end[i] - 1 for each i, one after the other.
        begins = first - np.concatenate(([0], np.cumsum(counts)[:-1]))
        rows = np.repeat(begins, counts) + np.arange(counts.sum())
        return self._rows._take(np.asarray(rows, dtype=np.intp))


def _rows_of(pid: int, wanted: U64 | None, proc: Path) -> Owners:
    """Rows of one process: all of its frames, or those in `wanted` (sorted)."""
    frames: list[U64] = []
    addresses: list[U64] = []
    try:
        for piece in read_process_pages(pid, proc):
            rows = np.flatnonzero(piece.present)
            pfns = piece.words[rows] & _PFN_MASK
            if wanted is not None and len(rows):
                places = np.searchsorted(wanted, pfns).clip(max=len(wanted) - 1)
                hits = wanted[places] == pfns
                rows, pfns = rows[hits], pfns[hits]
            frames.append(pfns)
            addresses.append(piece.addresses[rows])
    except ProcessGoneError:
        frames, addresses = [], []
    found = np.concatenate([*frames, np.empty(0, dtype=np.uint64)])
    return Owners(
        pfns=found,
        pids=np.full(len(found), pid, dtype=np.int64),
        addresses=np.concatenate([*addresses, np.empty(0, dtype=np.uint64)]),
    )


def _sorted(parts: list[Owners]) -> Owners:
    empty = np.empty(0, dtype=np.uint64)
    pfns = np.concatenate([*(part.pfns for part in parts), empty])
    order = np.argsort(pfns, kind="stable")
    return Owners(
        pfns=pfns[order],
        pids=np.concatenate([*(p.pids for p in parts), np.empty(0, dtype=np.int64)])[order],
        addresses=np.concatenate([*(part.addresses for part in parts), empty])[order],
    )
