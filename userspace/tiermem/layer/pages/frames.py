"""What the kernel says of a page frame: /proc/kpageflags, kpagecount, kpagecgroup."""

from __future__ import annotations

import enum
import itertools
import os
from pathlib import Path

import numpy as np

from tiermem.errors import KernelError, MissingError
from tiermem.layer.pages.pagemap import U64

NOT_A_FRAME = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
"""The flags of a number beyond all memory."""


class PageFlag(enum.IntFlag):
    """Bits of /proc/kpageflags: include/uapi/linux/kernel-page-flags.h."""

    LOCKED = 1 << 0
    ERROR = 1 << 1
    REFERENCED = 1 << 2
    UPTODATE = 1 << 3
    DIRTY = 1 << 4
    LRU = 1 << 5
    ACTIVE = 1 << 6
    SLAB = 1 << 7
    WRITEBACK = 1 << 8
    RECLAIM = 1 << 9
    BUDDY = 1 << 10
    MMAP = 1 << 11
    ANON = 1 << 12
    SWAPCACHE = 1 << 13
    SWAPBACKED = 1 << 14
    COMPOUND_HEAD = 1 << 15
    COMPOUND_TAIL = 1 << 16
    HUGE = 1 << 17
    UNEVICTABLE = 1 << 18
    HWPOISON = 1 << 19
    NOPAGE = 1 << 20
    KSM = 1 << 21
    THP = 1 << 22
    OFFLINE = 1 << 23
    ZERO_PAGE = 1 << 24
    IDLE = 1 << 25
    PGTABLE = 1 << 26


def flag_names(flags: int) -> list[str]:
    """The names of the set bits, lowest first; bits without a name are left out."""
    return [flag.name.lower() for flag in PageFlag if flags & flag and flag.name]


def read_flags(pfns: U64, proc: Path = Path("/proc")) -> U64:
    """The PageFlag bits of each frame; NOT_A_FRAME for a number beyond all memory."""
    return _read_words(proc / "kpageflags", pfns, missing=NOT_A_FRAME)


def read_map_counts(pfns: U64, proc: Path = Path("/proc")) -> U64:
    """How often each frame is mapped; 0 for a number beyond all memory."""
    return _read_words(proc / "kpagecount", pfns, missing=np.uint64(0))


def read_cgroups(pfns: U64, proc: Path = Path("/proc")) -> U64:
    """Inode number of the memory cgroup each frame is charged to; 0 for none."""
    return _read_words(proc / "kpagecgroup", pfns, missing=np.uint64(0))


def _read_words(path: Path, pfns: U64, missing: np.uint64) -> U64:
    """One word a frame, in the order asked; runs of neighbours are read together."""
    unique, inverse = np.unique(pfns, return_inverse=True)
    words = np.full(len(unique), missing, dtype=np.uint64)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise MissingError(f"{path}: needs root") from error
    except OSError as error:
        raise KernelError(f"open {path}", error.errno or 0) from error
    try:
        breaks = np.flatnonzero(np.diff(unique) != 1) + 1
        bounds = [0, *breaks.tolist(), len(unique)]
        for first, end in itertools.pairwise(bounds):
            _read_run(fd, path, unique[first:end], words[first:end])
    finally:
        os.close(fd)
    return words[inverse]


def _read_run(fd: int, path: Path, pfns: U64, words: U64) -> None:
    """Fill `words` with those of consecutive `pfns`, as far as the file goes."""
    if len(pfns) == 0 or int(pfns[-1]) >= 1 << 52:  # beyond any physical address
        return
    buffer = memoryview(words.view(np.uint8).data)
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(fd, [buffer[done:]], int(pfns[0]) * 8 + done)
        except OSError as error:
            raise KernelError(f"read {path} at frame {pfns[0]:#x}", error.errno or 0) from error
        if count == 0:
            return
        done += count
