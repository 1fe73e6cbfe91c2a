"""Where the pages of a process lie in its image.

Windows of 2 MiB of the address space that are stored as a whole lie at a multiple of
2 MiB in the image, so that they can be mapped at once; all other pages lie close together
in what is left before and after them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork.records import LARGE_PAGES

I64 = npt.NDArray[np.int64]

FIRST_PAGE, PAGES, DATA_PAGE = range(3)
"""Columns of an array of runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """runs: first page, pages, data page, by address. The image ends at `end_page`."""

    runs: I64
    data_at_page: int
    end_page: int

    @property
    def data_pages(self) -> int:
        """From the first page of data to the end, holes included."""
        return self.end_page - self.data_at_page


def cut(stretches: I64) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Stretches (first page, pages) cut where whole windows begin and end, by address; and
    which of the pieces are whole windows."""
    first, end = stretches[:, 0], stretches.sum(axis=1)
    whole_from = -(-first // LARGE_PAGES) * LARGE_PAGES
    whole_to = np.maximum(end // LARGE_PAGES * LARGE_PAGES, whole_from)
    has_whole = whole_to > whole_from
    heads = np.where(has_whole, whole_from, end)
    tails = np.where(has_whole, whole_to, end)
    pieces = np.stack([[first, heads - first], [heads, tails - heads], [tails, end - tails]])
    in_order = pieces.transpose(2, 0, 1).reshape(-1, 2)
    is_whole = np.tile([False, True, False], len(stretches))
    kept = in_order[:, 1] > 0
    return in_order[kept], is_whole[kept]


def lay_out(pieces: I64, is_whole: npt.NDArray[np.bool_], data_at_page: int) -> Layout:
    """Give each piece of `cut` its place from `data_at_page` on."""
    pages = pieces[:, 1]
    place = np.zeros(len(pieces), dtype=np.int64)
    small = np.flatnonzero(~is_whole)
    large = np.flatnonzero(is_whole)
    gap = -data_at_page % LARGE_PAGES if len(large) else 0
    ends = np.cumsum(pages[small])
    fit = int(np.searchsorted(ends, gap, side="right"))
    place[small[:fit]] = data_at_page + (ends - pages[small])[:fit]
    end_page = data_at_page + gap
    for rest in (large, small[fit:]):
        ends = end_page + np.cumsum(pages[rest])
        place[rest] = ends - pages[rest]
        end_page = int(ends[-1]) if len(rest) else end_page
    return Layout(np.column_stack([pieces, place]), data_at_page, end_page)
