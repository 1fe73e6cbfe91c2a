"""The pages of a stopped process, from its memory straight into the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.layout import DATA_PAGE, Layout
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pool import Draft

READ_PAGES = 1024
"""Pages a read: few enough that caches hold most of them until they are copied."""


def copy_pages(
    draft: Draft,
    layout: Layout,
    memory: Memory,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Append the data of an image, in its order. progress: pages copied, of all."""
    buffer = memoryview(bytearray(READ_PAGES * PAGE_BYTES))
    at = layout.data_at_page
    filled = 0
    for first, pages, data in _in_data_order(layout):
        # Holes before windows that must be aligned; and no more than the buffer holds.
        if filled and (data != at + filled or filled + pages > READ_PAGES):
            draft.append(buffer[: filled * PAGE_BYTES])
            at, filled = at + filled, 0
            if progress:
                progress(at - layout.data_at_page, layout.data_pages)
        if data > at + filled:
            draft.append(bytes((data - at) * PAGE_BYTES))
            at = data
        begin = filled * PAGE_BYTES
        memory.read_into(first * PAGE_BYTES, buffer[begin : begin + pages * PAGE_BYTES])
        filled += pages
    draft.append(buffer[: filled * PAGE_BYTES])
    if progress:
        progress(layout.data_pages, layout.data_pages)


def _in_data_order(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """Runs as they lie in the image, in pieces that a buffer holds."""
    for first, pages, data in layout.runs[layout.runs[:, DATA_PAGE].argsort()].tolist():
        for done in range(0, pages, READ_PAGES):
            yield first + done, min(READ_PAGES, pages - done), data + done
