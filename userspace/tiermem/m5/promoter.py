"""Promoter: moves pages, named by frame, to the fast node; one result a page.

`promote_by_frame` hands frames to the kernel module. `promote_by_address`
needs no module: it finds out which process maps each frame and calls move_pages(2),
which costs a walk of the page tables of the processes in question.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tiermem.layer.promote_device import PromoteCode
from tiermem.m5.hotlist import U64

# Results after which trying the same frame again soon is a waste.
LASTING = (
    PromoteCode.NO_SUCH_PFN,
    PromoteCode.NOT_MAPPED,
    PromoteCode.NOT_MOVABLE,
    PromoteCode.REFUSED,
)
# Results after which the page lies on the target node.
ARRIVED = (PromoteCode.MOVED, PromoteCode.ALREADY_THERE, PromoteCode.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Moves:
    """One PromoteCode a page, in the order asked; `moved_pages` counts base pages,
    so a large folio counts with all of its own. `spent_ns`: CPU time of the moving,
    without what the promoter does once for many calls."""

    results: npt.NDArray[np.uint8]
    moved_pages: int
    spent_ns: int

    def counts(self) -> dict[PromoteCode, int]:
        """How many pages had each result."""
        totals = np.bincount(self.results, minlength=len(PromoteCode))
        return {result: int(totals[result]) for result in PromoteCode}


class Promoter(Protocol):
    """Moves pages to the fast tier."""

    name: str

    def promote(self, pages: U64, node: int) -> Moves:
        """Move frames `pages`, each once, to `node`, in order.

        KernelError when nothing could be tried (no such node, device gone).
        """

    def close(self) -> None:
        """Let go of what it holds open."""


def is_any_of(
    results: npt.NDArray[np.uint8], wanted: tuple[PromoteCode, ...]
) -> npt.NDArray[np.bool_]:
    """Which of `results` are among `wanted`."""
    table = np.zeros(len(PromoteCode), dtype=np.bool_)
    table[list(wanted)] = True
    return np.asarray(table[results], dtype=np.bool_)
