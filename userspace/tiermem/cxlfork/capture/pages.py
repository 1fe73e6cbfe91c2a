"""Which pages of a process an image stores: those that only memory has, without zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork.capture.areas import Area
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.records import VmaKind
from tiermem.layer.image_device import ImageDevice
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.pagemap import CHUNK_PAGES, PagemapFile

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

READ_PAGES = 1024
"""Pages a read: 4 MiB, which a processor's caches hold until they are used."""

_NEVER_STORED = (VmaKind.FILE_SHARED, VmaKind.VDSO, VmaKind.VVAR)


@dataclass(frozen=True, slots=True)
class StoredPages:
    """stretches: first page and number, by address, each within one mapping.

    accessed, dirty: page numbers, by address; None without the kernel module.
    """

    stretches: I64
    accessed: I64 | None
    dirty: I64 | None


def find_stored_pages(memory: Memory, areas: list[Area], device: ImageDevice | None) -> StoredPages:
    """Looks at page tables, and at the contents of what may be zero."""
    stretches = [np.empty((0, 2), dtype=np.int64)]
    accessed = [np.empty(0, dtype=np.int64)]
    dirty = [np.empty(0, dtype=np.int64)]
    with PagemapFile(memory.pid) as pagemap:
        for area in areas:
            for first, held in _held_pages(pagemap, area, device):
                # Zeros over a file's page are not what would be read without them.
                is_over_file = area.vma.kind is VmaKind.FILE
                stored = held if is_over_file else _not_zero(memory, first, held)
                found = stretches_of(stored)
                found[:, 0] += first
                stretches.append(found)
            if device is not None and area.has_pages:
                for first, count in _chunks(area):
                    bits = device.pages(memory.pid, first * PAGE_BYTES, count)
                    accessed.append(first + np.flatnonzero(bits.accessed))
                    dirty.append(first + np.flatnonzero(bits.dirty))
    return StoredPages(
        stretches=np.concatenate(stretches),
        accessed=None if device is None else np.concatenate(accessed),
        dirty=None if device is None else np.concatenate(dirty),
    )


def _held_pages(
    pagemap: PagemapFile, area: Area, device: ImageDevice | None
) -> Iterator[tuple[int, Mask]]:
    """Pieces of an area: the first page, and which from there on it has to itself."""
    if not area.has_pages or area.vma.kind in _NEVER_STORED:
        return
    for first, count in _chunks(area):
        if area.is_of_image and device is not None:
            yield first, device.pages(pagemap.pid, first * PAGE_BYTES, count).held
        elif area.takes_all or area.vma.kind is VmaKind.SHARED:
            yield first, np.ones(count, dtype=np.bool_)
        else:
            words = pagemap.read(first * PAGE_BYTES, count)
            yield first, (words.present & ~words.file_or_shared) | words.swapped


def _chunks(area: Area) -> Iterator[tuple[int, int]]:
    first, end = area.vma.start // PAGE_BYTES, area.vma.end // PAGE_BYTES
    for at in range(first, end, CHUNK_PAGES):
        yield at, min(CHUNK_PAGES, end - at)


def _not_zero(memory: Memory, first: int, held: Mask) -> Mask:
    """Which pages are held and not zero."""
    buffer = memoryview(bytearray(READ_PAGES * PAGE_BYTES))
    stored = held.copy()
    for at, count in stretches_of(held):
        for piece in range(at, at + count, READ_PAGES):
            pages = min(READ_PAGES, at + count - piece)
            part = buffer[: pages * PAGE_BYTES]
            memory.read_into((first + piece) * PAGE_BYTES, part)
            stored[piece : piece + pages] = (
                np.frombuffer(part, dtype="<u8").reshape(pages, -1).any(axis=1)
            )
    return stored


def stretches_of(mask: Mask) -> I64:
    """Begin and length of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    return np.column_stack([begins, ends - begins]).astype(np.int64)
