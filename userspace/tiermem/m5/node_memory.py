"""How full a node is, from sysfs: free pages, pages on the LRU lists, watermarks.

/sys/devices/system/node/nodeN/vmstat has the counts; the watermarks, which
change only with the kernel's settings, come from /proc/zoneinfo.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tiermem.errors import MissingError
from tiermem.layer.sysfs import Tree
from tiermem.m5.hotlist import PAGE_BYTES

# One search for all of them: this is read every round, and there are sixty lines.
_COUNTS = re.compile(r"^nr_(free_pages|(?:in)?active_(?:anon|file)) (\d+)", re.MULTILINE)
_NODE = re.compile(r"^Node (\d+), zone", re.MULTILINE)
_LOW_HIGH = re.compile(r"^\s+low\s+(\d+)\s+high\s+(\d+)", re.MULTILINE)
# Zones are watched one by one, and others allocate too: of the way from the high
# watermark to the low one, this much is not counted on.
_SPARED = 1 / 8


@dataclass(frozen=True, slots=True)
class NodeMemory:
    """One node, or several added up: bytes free and bytes on the LRU lists."""

    free_bytes: int
    active_bytes: int

    def __add__(self, other: NodeMemory) -> NodeMemory:
        return NodeMemory(
            self.free_bytes + other.free_bytes, self.active_bytes + other.active_bytes
        )


def read_node(node: int, tree: Tree) -> NodeMemory:
    """Free and LRU bytes of `node`; MissingError naming the node where it is not there."""
    path = f"{tree.sysfs}/devices/system/node/node{node}/vmstat"
    try:
        with open(path) as file:  # noqa: PTH123 (a Path costs more than the reading)
            text = file.read()
    except OSError as error:
        raise MissingError(f"node {node}: {path}: {error.strerror}") from error
    counts = {name: int(pages) for name, pages in _COUNTS.findall(text)}
    free_pages = counts.pop("free_pages", 0)
    return NodeMemory(free_pages * PAGE_BYTES, sum(counts.values()) * PAGE_BYTES)


def read_nodes(nodes: tuple[int, ...], tree: Tree) -> NodeMemory:
    """The same for several nodes, added up."""
    total = NodeMemory(0, 0)
    for node in nodes:
        total += read_node(node, tree)
    return total


def kept_free_bytes(nodes: tuple[int, ...], tree: Tree) -> int:
    """Free bytes, over all zones of `nodes`, with which allocations still go unnoticed.

    Below the low watermark they wake kswapd, which then frees up to the high one; what
    lies between the two is room that costs no demotion.
    """
    text = (tree.proc / "zoneinfo").read_text()
    starts = [*_NODE.finditer(text)]
    pages = 0.0
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        found = _LOW_HIGH.search(text, start.end(), end)
        if int(start[1]) in nodes and found:
            low, high = int(found[1]), int(found[2])
            pages += low + _SPARED * (high - low)
    return round(pages) * PAGE_BYTES
