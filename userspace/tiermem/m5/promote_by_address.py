"""Promoter `move-pages`: for hosts without the kernel module.

move_pages(2) wants a process and addresses, not frames, so the page maps of
the host's processes are indexed by frame. The larger they are, the longer that
takes, and the seldomer it is done: for a hundredth of one core's time at most.
Every row is checked against the page map as it is before it is used, since
pages move and processes end; frames that an old index does not know are left
for a newer one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tiermem.errors import KernelError, ProcessGoneError
from tiermem.layer import placement
from tiermem.layer.pages import FrameIndex
from tiermem.layer.promote_device import PromoteCode
from tiermem.layer.sysfs import Tree, numbered
from tiermem.m5.hotlist import U64
from tiermem.m5.promoter import Moves

_INDEX_SHARE = 0.01
_INDEX_LIFE_MIN_S = 2.0

_FROM_PLACEMENT: dict[placement.MoveResult, PromoteCode] = {
    placement.MoveResult.MOVED: PromoteCode.MOVED,
    placement.MoveResult.ALREADY_THERE: PromoteCode.ALREADY_THERE,
    placement.MoveResult.NOT_MAPPED: PromoteCode.NOT_MAPPED,
    placement.MoveResult.NOT_PRESENT: PromoteCode.NOT_MAPPED,
    placement.MoveResult.BUSY: PromoteCode.BUSY,
    placement.MoveResult.NO_MEMORY: PromoteCode.NO_MEMORY,
    placement.MoveResult.REFUSED: PromoteCode.REFUSED,
    placement.MoveResult.SHARED: PromoteCode.NOT_MOVABLE,
    placement.MoveResult.DUPLICATE: PromoteCode.DUPLICATE,
    placement.MoveResult.NOT_TRIED: PromoteCode.NOT_TRIED,
}
_CODES = np.array([_FROM_PLACEMENT[code] for code in sorted(placement.MoveResult)], dtype=np.uint8)


class AddressPromoter:
    """See the module. `pids` says whose pages may be moved (all processes by default)."""

    name = "move-pages"

    def __init__(self, tree: Tree, pids: Callable[[], list[int]] | None = None) -> None:
        self._tree = tree
        self._pids = pids or self._all_pids
        self._index: FrameIndex | None = None
        self._next_index_s = 0.0

    def promote(self, pages: U64, node: int) -> Moves:
        """See Promoter.promote."""
        index, is_new = self._fresh_index()
        # Its own CPU time: while it waits, others are not held up.
        begin_ns = time.thread_time_ns()
        unknown = PromoteCode.NOT_MAPPED if is_new else PromoteCode.NOT_TRIED
        results = np.full(pages.size, unknown, dtype=np.uint8)
        owners = index.find(pages).still_true(self._tree.proc).first_of_each()
        for pid in np.unique(owners.pids).tolist():
            rows = owners.of_pid(pid)
            codes = _move(pid, rows.addresses, node)
            results[_places(pages, rows.pfns)] = codes
        moved_pages = int(np.count_nonzero(results == PromoteCode.MOVED))
        return Moves(results, moved_pages, time.thread_time_ns() - begin_ns)

    def close(self) -> None:
        """Drop the index."""
        self._index = None

    def _fresh_index(self) -> tuple[FrameIndex, bool]:
        """The index, and whether it was made by this call."""
        if self._index is not None and time.monotonic() < self._next_index_s:
            return self._index, False
        begin_s = time.thread_time()
        self._index = FrameIndex(self._pids(), self._tree.proc)
        cost_s = time.thread_time() - begin_s
        self._next_index_s = time.monotonic() + max(_INDEX_LIFE_MIN_S, cost_s / _INDEX_SHARE)
        return self._index, True

    def _all_pids(self) -> list[int]:
        return list(numbered(self._tree.proc, ""))


def _move(pid: int, addresses: U64, node: int) -> npt.NDArray[np.uint8]:
    """Results of one process' pages; all NOT_TRIED where it ended or may not be touched."""
    try:
        moves = placement.move_pages(pid, addresses, node, include_shared=True)
    except (ProcessGoneError, KernelError):
        return np.full(addresses.size, PromoteCode.NOT_TRIED, dtype=np.uint8)
    return np.asarray(_CODES[moves.results], dtype=np.uint8)


def _places(pages: U64, wanted: U64) -> npt.NDArray[np.intp]:
    """Index in `pages` (each once) of every one of `wanted`, all of which are in it."""
    order = np.argsort(pages)
    return np.asarray(order[np.searchsorted(pages[order], wanted)], dtype=np.intp)
