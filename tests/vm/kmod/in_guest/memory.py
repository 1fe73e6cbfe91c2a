"""Memory of this process with known content and place, for the promoter to move."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tiermem.layer.pages.frames import PageFlag, read_flags
from tiermem.layer.pages.pagemap import read_pagemap
from tiermem.layer.placement import bind, query_pages

PAGE = 4096
THP_PAGES = 512
THP_BYTES = THP_PAGES * PAGE
DRAM, CXL = 0, 1
MADV_POPULATE_WRITE = 23
SETTLE_S = 10.0

U64 = npt.NDArray[np.uint64]


class Memory:
    """`pages` pages, each holding its own number (from 1: a page of zeros may become the zero
    page when a large folio is split); private and anonymous by default."""

    def __init__(self, area: mmap.mmap, address: int, pages: int) -> None:
        self.area = area
        self.address = address
        self.pages = pages
        self.offset = address - address_of(area)
        self._words = np.frombuffer(area, np.uint64, pages * PAGE // 8, self.offset)

    def fill(self) -> None:
        """Touch every page."""
        numbers = np.arange(1, self.pages + 1, dtype=np.uint64)
        self._words.reshape(self.pages, -1)[:] = numbers[:, None]

    def is_intact(self) -> bool:
        """Whether every word of every page still is what `fill` wrote."""
        numbers = np.arange(1, self.pages + 1, dtype=np.uint64)
        return bool((self._words.reshape(self.pages, -1) == numbers[:, None]).all())

    def addresses(self) -> U64:
        """The address of each page."""
        return np.arange(self.pages, dtype=np.uint64) * np.uint64(PAGE) + np.uint64(self.address)

    def pfns(self) -> U64:
        """The frame behind each page."""
        return np.asarray(read_pagemap(os.getpid(), self.address, self.pages).pfns)

    def huge_pages(self) -> int:
        """How many of its pages are part of a large folio of 2 MiB."""
        return int(np.count_nonzero(read_flags(self.pfns()) & np.uint64(PageFlag.THP)))

    def node_of_each(self) -> npt.NDArray[np.int32]:
        """The node of each page, as move_pages(2) tells."""
        return query_pages(0, self.addresses())

    def nodes(self) -> set[int]:
        """The nodes its pages lie on."""
        return set(self.node_of_each().tolist())

    def close(self) -> None:
        """Give the memory back."""
        self._words = np.empty(0, dtype=np.uint64)
        self.area.close()


def address_of(area: mmap.mmap) -> int:
    """Where an mmap lies."""
    return ctypes.addressof(ctypes.c_char.from_buffer(area))


@contextmanager
def on_node(node: int, pages: int, *, huge: bool = False) -> Iterator[Memory]:
    """Anonymous memory that was touched on `node`; in 2 MiB pages where `huge`."""
    size = pages * PAGE + THP_BYTES
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    area.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
    address = -(-address_of(area) // THP_BYTES) * THP_BYTES
    bind(address, pages * PAGE, nodes=[node])
    memory = Memory(area, address, pages)
    try:
        memory.fill()
        assert memory.nodes() == {node}
        yield memory
    finally:
        memory.close()


@contextmanager
def of_file(path: Path, pages: int, node: int) -> Iterator[Memory]:
    """Shared memory of a new file at `path`, whose page cache lies on `node`."""
    with path.open("w+b") as file:
        file.truncate(pages * PAGE)
        area = mmap.mmap(file.fileno(), pages * PAGE)
    bind(address_of(area), pages * PAGE, nodes=[node])
    memory = Memory(area, address_of(area), pages)
    try:
        memory.fill()
        assert memory.nodes() == {node}
        yield memory
    finally:
        memory.close()
        path.unlink()


@contextmanager
def all_but(free_pages: int, node: int) -> Iterator[None]:
    """Takes the memory of `node` until at most `free_pages` and one large page are left."""
    with ExitStack() as taken:
        # Pages that were freed a moment ago may be counted late: look again.
        while (surplus := node_free_pages(node) - free_pages) >= THP_PAGES:
            size = surplus // THP_PAGES * THP_BYTES
            area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            taken.callback(area.close)
            area.madvise(mmap.MADV_HUGEPAGE)
            bind(address_of(area), size, nodes=[node])
            area.madvise(MADV_POPULATE_WRITE)
        yield


def vmstat(name: str) -> int:
    """One counter of /proc/vmstat, with what CPUs have counted and not handed in yet."""
    Path("/proc/sys/vm/stat_refresh").write_text("1")
    for line in Path("/proc/vmstat").read_text().splitlines():
        key, value = line.split()
        if key == name:
            return int(value)
    raise KeyError(name)


def pages_left_isolated() -> int:
    """Pages taken off the LRU lists that nobody puts back: compaction takes some for a moment."""
    end = time.monotonic() + SETTLE_S
    while left := vmstat("nr_isolated_anon") + vmstat("nr_isolated_file"):
        if time.monotonic() > end:
            return left
        time.sleep(0.1)
    return 0


def node_free_pages(node: int) -> int:
    """Free pages of a node."""
    for line in Path(f"/sys/devices/system/node/node{node}/vmstat").read_text().splitlines():
        key, value = line.split()
        if key == "nr_free_pages":
            return int(value)
    raise KeyError(node)
