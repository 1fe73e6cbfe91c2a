"""Run in the guest: move pages that are pinned, shared or huge, and report.

Prints one JSON object. All memory is this process' own, on the CXL node first.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
from typing import Any

import numpy as np
from tiermem.layer.pages import PageFlag, read_flags, read_pagemap
from tiermem.layer.placement import MoveResult, Policy, bind, move_pages, query_pages
from tiermem.layer.topology import read_topology

PAGE = mmap.PAGESIZE
HUGE = 2 << 20
LIBC = ctypes.CDLL(None, use_errno=True)


class Memory:
    """Private memory, touched on `node`, with the node's policy taken off again."""

    def __init__(self, pages: int, node: int, *, huge: bool = False) -> None:
        size = pages * PAGE + (HUGE if huge else 0)
        self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._map.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.address = (start + HUGE - 1) // HUGE * HUGE if huge else start
        self.pages = pages
        bind(start, size, [node])
        np.frombuffer(self._map, dtype=np.uint8)[self.address - start :: PAGE][:pages] = 7
        bind(start, size, [], policy=Policy.DEFAULT)

    @property
    def addresses(self) -> np.ndarray:
        """Of all its pages."""
        pages = np.arange(self.pages, dtype=np.uint64)
        return np.uint64(self.address) + pages * np.uint64(PAGE)

    def nodes(self) -> dict[str, int]:
        """Its pages by node."""
        nodes, counts = np.unique(query_pages(0, self.addresses), return_counts=True)
        return {str(n): int(c) for n, c in zip(nodes, counts, strict=True)}


def _named(counts: dict[MoveResult, int]) -> dict[str, int]:
    return {result.name: count for result, count in counts.items()}


def pinned(fast: int, slow: int) -> dict[str, Any]:
    """Eight pages in the middle are held by a pipe (vmsplice), so they cannot move."""
    memory = Memory(256, slow)
    held = slice(100, 108)
    reader, writer = os.pipe()
    vector = (ctypes.c_size_t * 2)(int(memory.addresses[100]), 8 * PAGE)
    assert LIBC.vmsplice(writer, ctypes.byref(vector), ctypes.c_size_t(1), 0) == 8 * PAGE
    moves = move_pages(0, memory.addresses, fast)
    seen = {
        "counts": _named(moves.counts()),
        "held": sorted({MoveResult(code).name for code in moves.results[held].tolist()}),
        "nodes": memory.nodes(),
    }
    os.close(reader)
    os.close(writer)
    seen["released"] = _named(move_pages(0, memory.addresses, fast).counts())
    return seen


def shared(fast: int, slow: int) -> dict[str, Any]:
    """A fork maps the same pages until either writes."""
    memory = Memory(64, slow)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    without = move_pages(0, memory.addresses, fast)
    seen = {"without": _named(without.counts()), "nodes": memory.nodes()}
    seen["with"] = _named(move_pages(0, memory.addresses, fast, include_shared=True).counts())
    os.close(writer)
    os.waitpid(child, 0)
    return seen


def huge(fast: int, slow: int) -> dict[str, Any]:
    """Two huge pages: asked by all of their base pages, and by one."""
    memory = Memory(2 * HUGE // PAGE, slow, huge=True)
    frames = read_pagemap(os.getpid(), memory.address, memory.pages)
    is_huge = (read_flags(frames.pfns) & np.uint64(PageFlag.THP)) != 0
    seen: dict[str, Any] = {"thp_pages": int(np.count_nonzero(is_huge))}
    seen["one"] = _named(move_pages(0, memory.addresses[7:8], fast).counts())
    seen["after_one"] = memory.nodes()
    seen["all"] = _named(move_pages(0, memory.addresses, fast).counts())
    seen["after_all"] = memory.nodes()
    return seen


def main() -> None:
    """Do the scenarios named on the command line."""
    topology = read_topology()
    nodes = topology.tiers[0].nodes[0], topology.tiers[-1].nodes[0]
    scenarios = {"pinned": pinned, "shared": shared, "huge": huge}
    json.dump({name: scenarios[name](*nodes) for name in sys.argv[1:]}, sys.stdout)


if __name__ == "__main__":
    main()
