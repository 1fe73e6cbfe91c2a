"""Which pages of a process an image stores: those that only memory has, without zeros."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork.capture.areas import Area
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.records import VmaKind
from tiermem.layer.image_device import ImageDevice
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.mappings import process_error
from tiermem.layer.pages.pagemap import CHUNK_PAGES, PagemapFile

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_NEVER_STORED = (VmaKind.FILE_SHARED, VmaKind.VDSO, VmaKind.VVAR)


@dataclass(frozen=True, slots=True)
class StoredPages:
    """stretches: first page and number, by address, each within one mapping.

    accessed, dirty: page numbers, by address; None without the kernel module.
    """

    stretches: I64
    accessed: I64 | None
    dirty: I64 | None


def find_stored_pages(
    memory: Memory, areas: list[Area], device: ImageDevice | None, refusals: Refusals
) -> StoredPages:
    """Looks at page tables, and at the contents of what may be zero."""
    stretches = [np.empty((0, 2), dtype=np.int64)]
    accessed = [np.empty(0, dtype=np.int64)]
    dirty = [np.empty(0, dtype=np.int64)]
    with PagemapFile(memory.pid) as pagemap:
        for area in areas:
            for first, held in _held_pages(pagemap, area, device, refusals):
                # Zeros over a file's page are not what would be read without them.
                is_over_file = area.vma.kind is VmaKind.FILE
                stored = held if is_over_file else memory.not_zero(first * PAGE_BYTES, held)
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
    pagemap: PagemapFile, area: Area, device: ImageDevice | None, refusals: Refusals
) -> Iterator[tuple[int, Mask]]:
    """Pieces of an area: the first page, and which from there on it has to itself."""
    if not area.has_pages or area.vma.kind in _NEVER_STORED:
        return
    for first, count in _chunks(area):
        if area.is_of_image and device is not None:
            yield first, device.pages(pagemap.pid, first * PAGE_BYTES, count).held
        elif area.object is not None:
            in_object = pages_of_object(pagemap.pid, area, first, count)
            words = pagemap.read(first * PAGE_BYTES, count)
            # A private mapping has changed pages of its own over those of the object.
            yield first, in_object | (words.present & ~words.file_or_shared) | words.swapped
        else:
            words = pagemap.read(first * PAGE_BYTES, count)
            if words.guarded.any():
                refusals.add(f"the mapping at {area.vma.start:#x} has guard regions (madvise)")
            # The kernel shows guards among what is swapped out.
            swapped = words.swapped & ~words.guarded
            yield first, (words.present & ~words.file_or_shared) | swapped


def pages_of_object(pid: int, area: Area, first: int, count: int) -> Mask:
    """Which pages the memory has that an area maps; asked of its file, since a read through
    the process would make those that are not there."""
    vma = area.vma
    found = np.zeros(count, dtype=np.bool_)
    base = first * PAGE_BYTES - vma.start + area.object_at
    path = f"/proc/{pid}/map_files/{vma.start:x}-{vma.end:x}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise process_error(error, pid, f"open {path}") from error
    try:
        at, end = base, base + count * PAGE_BYTES
        while at < end and (begin := _seek(fd, at, os.SEEK_DATA)) is not None and begin < end:
            at = _seek(fd, begin, os.SEEK_HOLE) or end
            found[(begin - base) // PAGE_BYTES : -((base - at) // PAGE_BYTES)] = True
    finally:
        os.close(fd)
    return found


def _seek(fd: int, at: int, whence: int) -> int | None:
    """None: there is no more."""
    try:
        return os.lseek(fd, at, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _chunks(area: Area) -> Iterator[tuple[int, int]]:
    first, end = area.vma.start // PAGE_BYTES, area.vma.end // PAGE_BYTES
    for at in range(first, end, CHUNK_PAGES):
        yield at, min(CHUNK_PAGES, end - at)


def stretches_of(mask: Mask) -> I64:
    """Begin and length of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    return np.column_stack([begins, ends - begins]).astype(np.int64)
