"""How much memory may be taken without the kernel having to kill for it.

Memory that is bound to nodes comes from those nodes or not at all: where they have
none left, the kernel's answer to a page fault is the OOM killer. So who is about to
fault asks here first. Two limits count: what a node can give, and what the control
groups of this process may still take.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.sysfs import Tree, read_text

_ZONE = re.compile(r"^Node (\d+), zone", re.MULTILINE)
_COUNT = re.compile(
    r"^\s+(?:pages )?(free|low|high|managed|nr_inactive_file|nr_active_file|nr_slab_reclaimable"
    r"|nr_kernel_misc_reclaimable)\s+(\d+)$",
    re.MULTILINE,
)
_PROTECTION = re.compile(r"^\s+protection: \((.*)\)", re.MULTILINE)
# Of a control group's limit: for page tables, stacks and whatever else grows meanwhile.
_SPARED = 1 / 64


def room_bytes(nodes: Collection[int], tree: Tree) -> int:
    """What this process can take from these nodes now, reclaimable page cache included."""
    on_nodes = sum(_node_room_pages(nodes, tree)) * PAGE_BYTES
    in_groups = _cgroup_rooms(tree)
    return max(0, min([on_nodes, *in_groups]))


def _node_room_pages(nodes: Collection[int], tree: Tree) -> Iterator[int]:
    """By the kernel's own rule for MemAvailable (si_mem_available), node by node."""
    path = tree.proc / "zoneinfo"
    text = read_text(path)
    if text is None:
        raise TiermemError(f"{path}: is not there; it is needed to see how much room a node has")
    starts = [*_ZONE.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    rooms = dict.fromkeys(nodes, 0)
    caches: dict[int, list[int]] = {}
    low = dict.fromkeys(nodes, 0)
    for start, end in zip(starts, ends, strict=True):
        node = int(start[1])
        if node not in rooms:
            continue
        zone = text[start.end() : end]
        counts = {name: int(pages) for name, pages in _COUNT.findall(zone)}
        rooms[node] += counts.get("free", 0) - _reserved_pages(zone, counts)
        low[node] += counts.get("low", 0)
        if "nr_inactive_file" in counts:  # a node's own counts are with its first zone
            caches[node] = [
                counts["nr_inactive_file"] + counts.get("nr_active_file", 0),
                counts.get("nr_slab_reclaimable", 0) + counts.get("nr_kernel_misc_reclaimable", 0),
            ]
    for node, room in rooms.items():
        cached = sum(pages - min(pages // 2, low[node]) for pages in caches.get(node, []))
        yield max(0, room + cached)


def _reserved_pages(zone: str, counts: dict[str, int]) -> int:
    protection = _PROTECTION.search(zone)
    kept = max((int(pages) for pages in protection[1].split(",")), default=0) if protection else 0
    return min(kept + counts.get("high", 0), counts.get("managed", 0))


def _cgroup_rooms(tree: Tree) -> Iterator[int]:
    """What each control group with a limit, from this process' own up, still lets in."""
    for line in (read_text(tree.proc / "self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            yield from _rooms_up(tree.sysfs / "fs/cgroup/memory", path, *names)
        elif controllers == "":
            yield from _rooms_up(tree.sysfs / "fs/cgroup", path, "memory.max", "memory.current", "")


def _rooms_up(top: Path, path: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    own = top / path.strip("/")
    # In a container, the path may be one that only its host has.
    for folder in [one for one in (own, *own.parents) if one.is_relative_to(top)]:
        limit_text, used_text = read_text(folder / limit), read_text(folder / usage)
        if limit_text in (None, "max") or used_text is None:
            continue
        counts = dict(
            line.split() for line in (read_text(folder / "memory.stat") or "").splitlines()
        )
        cached = sum(int(counts.get(f"{prefix}{name}_file", 0)) for name in ("inactive", "active"))
        allowed = int(limit_text or 0)
        yield int(allowed * (1 - _SPARED)) - int(used_text) + cached
