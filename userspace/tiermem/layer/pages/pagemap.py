"""Which page frame backs each page of a process: /proc/PID/pagemap.

One 64-bit word a page (Documentation/admin-guide/mm/pagemap.rst): bits 0-54 the
PFN where the page is present, 55 soft-dirty, 56 mapped only here, 58 guarded, 61 file
or shared-anonymous, 62 swapped, 63 present. Without CAP_SYS_ADMIN the kernel shows
every PFN as 0; that is an error here, not a frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tiermem.errors import MissingError, ProcessGoneError, TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.mappings import process_error, read_mappings

U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

CHUNK_PAGES = 1 << 18
"""Pages a read: 2 MiB of words for 1 GiB of address space."""

_PFN_MASK = np.uint64((1 << 55) - 1)
# Reading words that nobody asked for is cheaper than another system call.
_NEAR_PAGES = 256


@dataclass(frozen=True)
class PageMap:
    """The words of consecutive pages that begin at the address `start`."""

    start: int
    words: U64

    @property
    def addresses(self) -> U64:
        """The virtual address of each page."""
        return np.uint64(self.start) + np.arange(len(self.words), dtype=np.uint64) * np.uint64(
            PAGE_BYTES
        )

    @property
    def present(self) -> Mask:
        """In memory now."""
        return self._bit(63)

    @property
    def swapped(self) -> Mask:
        """Swapped out (or, for a moment, under migration)."""
        return self._bit(62)

    @property
    def file_or_shared(self) -> Mask:
        """Of a file, or shared anonymous memory."""
        return self._bit(61)

    @property
    def guarded(self) -> Mask:
        """Made inaccessible by MADV_GUARD_INSTALL; kernels from 6.15 on tell."""
        return self._bit(58)

    @property
    def exclusive(self) -> Mask:
        """Mapped by this process only."""
        return self._bit(56)

    @property
    def soft_dirty(self) -> Mask:
        """Written since the soft-dirty bits were cleared."""
        return self._bit(55)

    @property
    def pfns(self) -> U64:
        """The frame of each page; 0 where none is present."""
        return np.where(self.present, self.words & _PFN_MASK, np.uint64(0))

    def _bit(self, number: int) -> Mask:
        return (self.words >> np.uint64(number) & np.uint64(1)).astype(np.bool_)


def read_pagemap(pid: int, start: int, pages: int, proc: Path = Path("/proc")) -> PageMap:
    """`pages` pages of `pid` from the address `start`, which must be aligned to a page."""
    if start % PAGE_BYTES or start < 0 or pages < 0:
        raise TiermemError(
            f"process {pid}: {pages} pages from {start:#x} is not a range of pages "
            f"(addresses are multiples of {PAGE_BYTES})"
        )
    with PagemapFile(pid, proc) as file:
        return file.read(start, pages)


def read_process_pages(pid: int, proc: Path = Path("/proc")) -> Iterator[PageMap]:
    """All mappings of `pid`, in pieces of at most CHUNK_PAGES, ascending."""
    mappings = read_mappings(pid, proc)
    if not mappings:
        return
    with PagemapFile(pid, proc) as file:
        for mapping in mappings:
            step = CHUNK_PAGES * PAGE_BYTES
            for start in range(mapping.start, mapping.end, step):
                piece = min(step, mapping.end - start)
                yield file.read(start, piece // PAGE_BYTES)


class PagemapFile:
    """An open /proc/PID/pagemap; PFNs are checked to be visible on every read."""

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self.pid = pid
        self._proc = proc
        path = proc / str(pid) / "pagemap"
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise process_error(error, pid, f"open {path}") from error

    def __enter__(self) -> PagemapFile:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)

    def read(self, start: int, pages: int) -> PageMap:
        """As read_pagemap."""
        words = np.empty(pages, dtype=np.uint64)
        buffer = memoryview(words.view(np.uint8).data)
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._fd, [buffer[done:]], start // PAGE_BYTES * 8 + done)
            except OSError as error:
                raise process_error(error, self.pid, f"read pagemap at {start:#x}") from error
            if count == 0:
                if done == 0 and not self._is_alive():
                    raise ProcessGoneError(self.pid)
                # Beyond the end of user space there is nothing to read: no page is there.
                words[done // 8 :] = 0
                break
            done += count
        found = PageMap(start, words)
        _check_visible(found, self.pid)
        return found

    def words_at(self, addresses: U64) -> U64:
        """The word of the page at each address, in their order; near ones by one read."""
        numbers, place = np.unique(addresses // np.uint64(PAGE_BYTES), return_inverse=True)
        words = np.empty(len(numbers), dtype=np.uint64)
        cuts = np.flatnonzero(np.diff(numbers) > np.uint64(_NEAR_PAGES)) + 1
        for span in np.split(np.arange(len(numbers)), cuts):
            if len(span):
                first, last = int(numbers[span[0]]), int(numbers[span[-1]])
                read = self.read(first * PAGE_BYTES, last + 1 - first)
                words[span] = read.words[numbers[span] - np.uint64(first)]
        return np.asarray(words[place], dtype=np.uint64)

    def _is_alive(self) -> bool:
        """A process that has ended keeps its file open, and every read of it is empty."""
        try:
            return bool(read_mappings(self.pid, self._proc))
        except TiermemError:
            return False


def _check_visible(found: PageMap, pid: int) -> None:
    present = found.present
    if present.any() and not (found.words[present] & _PFN_MASK).any():
        raise MissingError(
            f"process {pid}: the kernel hides page frame numbers; "
            "run as root, or with CAP_SYS_ADMIN (and CAP_SYS_PTRACE for other users' processes)"
        )
