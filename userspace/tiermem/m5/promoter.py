"""Promoter: moves pages, named by frame, to the fast node; one result a page.

`ModulePromoter` hands frames to the kernel module. `MovePagesPromoter` needs
no module: it finds out which process maps each frame and calls move_pages(2),
which costs a walk of the page tables of the processes in question.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tiermem.m5.hotlist import U64


class MoveResult(IntEnum):
    """What became of a page: enum tiermem_promote_result of kmod/uapi/tiermem_promote.h.

    tests/unit/m5/test_promoter.py holds the two against each other.
    """

    MOVED = 0
    ALREADY_THERE = 1
    NO_SUCH_PFN = 2
    NOT_MAPPED = 3
    NOT_MOVABLE = 4
    BUSY = 5
    NO_MEMORY = 6
    REFUSED = 7
    DUPLICATE = 8
    NOT_TRIED = 9


RESULT_MEANING: dict[MoveResult, str] = {
    MoveResult.MOVED: "moved",
    MoveResult.ALREADY_THERE: "was there already",
    MoveResult.NO_SUCH_PFN: "no memory behind that frame",
    MoveResult.NOT_MAPPED: "no process maps it (free, or the kernel's)",
    MoveResult.NOT_MOVABLE: "pinned, locked or not migratable",
    MoveResult.BUSY: "in use by the kernel at that moment",
    MoveResult.NO_MEMORY: "the fast node had no room",
    MoveResult.REFUSED: "the kernel tried and gave up",
    MoveResult.DUPLICATE: "went with a large page already counted",
    MoveResult.NOT_TRIED: "the call was cut short before it",
}

# Results after which trying the same frame again soon is a waste.
LASTING = (
    MoveResult.NO_SUCH_PFN,
    MoveResult.NOT_MAPPED,
    MoveResult.NOT_MOVABLE,
    MoveResult.REFUSED,
)
# Results after which the page lies on the target node.
ARRIVED = (MoveResult.MOVED, MoveResult.ALREADY_THERE, MoveResult.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Moves:
    """One MoveResult a page, in the order asked; `moved_pages` counts base pages,
    so a large folio counts with all of its own."""

    results: npt.NDArray[np.uint8]
    moved_pages: int

    def counts(self) -> dict[MoveResult, int]:
        """How many pages had each result."""
        totals = np.bincount(self.results, minlength=len(MoveResult))
        return {result: int(totals[result]) for result in MoveResult}


class Promoter(Protocol):
    """Moves pages to the fast tier."""

    name: str

    def promote(self, pages: U64) -> Moves:
        """Move frames `pages`, in order; KernelError when nothing could be tried."""

    def close(self) -> None:
        """Let go of what it holds open."""


def is_any_of(
    results: npt.NDArray[np.uint8], wanted: tuple[MoveResult, ...]
) -> npt.NDArray[np.bool_]:
    """Which of `results` are among `wanted`."""
    table = np.zeros(len(MoveResult), dtype=np.bool_)
    table[list(wanted)] = True
    return np.asarray(table[results], dtype=np.bool_)
