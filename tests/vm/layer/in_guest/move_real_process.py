"""Run in the guest: move a real process' pages between DRAM and CXL and report what is seen.

Prints one JSON object. A child process holds the memory, bound to the CXL node
when it was touched; where its pages lie is told by numa_maps, which knows
nothing of the calls that moved them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
from tiermem.layer.pages import find_owners, read_numa_maps, read_pagemap
from tiermem.layer.placement import MoveResult, move_pages, query_pages
from tiermem.layer.topology import read_topology

PAGES = 3000

CHILD = f"""
import ctypes, mmap, sys
from tiermem.layer.placement import bind, Policy
pages, node = {PAGES}, int(sys.argv[1])
memory = mmap.mmap(-1, (pages + 8) * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
view = ctypes.c_char.from_buffer(memory)
address = ctypes.addressof(view)
bind(address, len(memory), [node])
for page in range(pages):
    memory[page * mmap.PAGESIZE] = page & 255
bind(address, len(memory), [], policy=Policy.DEFAULT)
print(address, flush=True)
sys.stdin.readline()
damaged = sum(memory[page * mmap.PAGESIZE] != page & 255 for page in range(pages))
print(damaged, flush=True)
sys.stdin.readline()
"""


def _lies_on(pid: int, address: int) -> dict[int, int]:
    """Pages by node of the mapping at `address`, as numa_maps says."""
    total: Counter[int] = Counter()
    for mapping in read_numa_maps(pid):
        if address <= mapping.start < address + (PAGES + 8) * 4096:
            total.update(mapping.pages_by_node)
    return dict(total)


def _named(counts: dict[MoveResult, int]) -> dict[str, int]:
    return {result.name: count for result, count in counts.items()}


def main() -> None:
    """Do it all and print what was seen."""
    topology = read_topology()
    fast, slow = topology.tiers[0].nodes[0], topology.tiers[-1].nodes[0]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(slow)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    pid, address = child.pid, int(child.stdout.readline())
    # Eight pages at the end were never touched.
    addresses = np.uint64(address) + np.arange(PAGES + 8, dtype=np.uint64) * np.uint64(4096)
    seen: dict[str, Any] = {"fast": fast, "slow": slow, "born": _lies_on(pid, address)}
    seen["born_queried"] = _codes(query_pages(pid, addresses))

    pfns = read_pagemap(pid, address, PAGES).pfns
    seen["frame_nodes"] = Counter(topology.node_of_pfn(pfn) for pfn in pfns.tolist())
    owners = find_owners(pfns, [1, pid])
    by_frame = dict(zip(owners.pfns.tolist(), owners.addresses.tolist(), strict=True))
    seen["round_trip"] = [by_frame.get(p) for p in pfns.tolist()] == addresses[:PAGES].tolist()
    seen["owner_pids_right"] = set(owners.pids.tolist()) == {pid}

    half = addresses[::2]
    seen["half_up"] = _named(move_pages(pid, half, fast).counts())
    seen["after_half"] = _lies_on(pid, address)
    every = move_pages(pid, np.concatenate([addresses, addresses[:5]]), fast)
    seen["all_up"] = _named(every.counts())
    seen["after_all"] = _lies_on(pid, address)
    seen["stale_owners_left"] = len(owners.still_true())
    seen["down"] = _named(move_pages(pid, addresses[:1000], slow).counts())
    seen["after_down"] = _lies_on(pid, address)

    child.stdin.write(b"\n")
    child.stdin.flush()
    seen["damaged_pages"] = int(child.stdout.readline())
    child.communicate(b"\n")
    json.dump(seen, sys.stdout)


def _codes(nodes: np.ndarray) -> dict[str, int]:
    return {str(code): count for code, count in Counter(nodes.tolist()).items()}


if __name__ == "__main__":
    main()
