"""Small pretend /sys and /proc for tests: two nodes, files that can be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tiermem.layer.sysfs import Tree

PAGE_BYTES = 4096
BLOCK_BYTES = 128 << 20
NODE_VMSTAT = """nr_free_pages {free}
nr_inactive_anon 100
nr_active_anon 200
nr_inactive_file 300
nr_active_file 400
nr_unevictable 5
"""
ZONEINFO = """Node 0, zone      DMA
  pages free     100
        min      10
        low      20
        high     30
Node 0, zone    DMA32
  pages free     1000
        min      100
        low      200
        high     300
Node 1, zone  Movable
  pages free     9000
        min      1
        low      2
        high     9999
"""


PAGE_PRESENT = 1 << 63


def write(path: Path, text: str) -> None:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_tree(root: Path, *, free_pages: int = 1000, has_reclaim: bool = True) -> Tree:
    """Node 0 with a CPU (fast), node 1 without (slow), each one memory block."""
    tree = Tree(root / "sys", root / "proc")
    nodes = tree.sysfs / "devices/system/node"
    write(nodes / "online", "0-1\n")
    for node, cpus in ((0, "0"), (1, "")):
        folder = nodes / f"node{node}"
        write(folder / "vmstat", NODE_VMSTAT.format(free=free_pages))
        write(folder / "cpulist", cpus + "\n")
        write(folder / "distance", "10 20\n" if node == 0 else "20 10\n")
        write(
            folder / "meminfo",
            f"Node {node} MemTotal: 131072 kB\nNode {node} MemFree: {free_pages * 4} kB\n",
        )
        write(folder / f"memory{node}/state", "online\n")
        write(folder / f"memory{node}/phys_index", f"{node:08x}\n")
        tier = 4 if node == 0 else 22
        write(
            tree.sysfs / f"devices/virtual/memory_tiering/memory_tier{tier}/nodelist", f"{node}\n"
        )
        if has_reclaim:
            write(folder / "reclaim", "")
    write(tree.sysfs / "devices/system/memory/block_size_bytes", f"{BLOCK_BYTES:x}\n")
    write(tree.sysfs / "kernel/mm/numa/demotion_enabled", "false\n")
    write(tree.proc / "sys/kernel/numa_balancing", "1\n")
    write(tree.proc / "sys/vm/watermark_scale_factor", "10\n")
    write(tree.proc / "sys/vm/watermark_boost_factor", "15000\n")
    write(tree.proc / "zoneinfo", ZONEINFO)
    return tree


def add_process(
    tree: Tree, pid: int, frames: Mapping[int, int], *, command: str = "it", cgroup: str = "/"
) -> None:
    """A process with one mapping from address 0: {page number: frame}, the rest not present."""
    folder = tree.proc / str(pid)
    pages = max(frames, default=0) + 1
    words = np.zeros(pages, dtype=np.uint64)
    for page, frame in frames.items():
        words[page] = PAGE_PRESENT | frame
    write(folder / "maps", f"0-{pages * PAGE_BYTES:x} rw-p 00000000 00:00 0\n")
    (folder / "pagemap").write_bytes(words.tobytes())
    write(folder / "numa_maps", f"0 default anon={len(frames)} N1={len(frames)}\n")
    write(folder / "comm", f"{command}\n")
    write(folder / "cgroup", f"0::{cgroup}\n")
