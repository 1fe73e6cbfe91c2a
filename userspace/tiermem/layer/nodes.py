"""NUMA nodes: CPUs, memory, where it lies physically, how fast it is, what is CXL.

Read from /sys/devices/system/node and /sys/devices/system/memory. A node's
speed is what firmware says in the HMAT (or the CXL driver worked out from the
device's CDAT), shown under `accessN/initiators`; without it there is none, and
nothing is guessed from node numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.sysfs import Tree, numbered, read_int, read_list, read_text

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, order=True)
class PhysRange:
    """Physical addresses from `start` up to, without, `end`."""

    start: int
    end: int

    @property
    def bytes(self) -> int:
        """Its length."""
        return self.end - self.start

    @property
    def first_pfn(self) -> int:
        """The page frame that it begins with."""
        return self.start // PAGE_BYTES

    @property
    def end_pfn(self) -> int:
        """The page frame after its last."""
        return self.end // PAGE_BYTES

    def overlaps(self, other: PhysRange) -> bool:
        """Whether an address is in both."""
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Access:
    """How fast the nearest initiators reach a node's memory; None: not said.

    The kernel shows latency in ns and bandwidth in MB/s (Documentation/admin-guide/
    mm/numaperf.rst).
    """

    initiators: tuple[int, ...]
    read_latency_ns: int | None
    write_latency_ns: int | None
    read_bandwidth_Bps: int | None  # noqa: N815
    write_bandwidth_Bps: int | None  # noqa: N815


@dataclass(frozen=True)
class CxlRegion:
    """A committed CXL region: an interleave set of devices, mapped at `range`."""

    name: str
    range: PhysRange
    mode: str


@dataclass(frozen=True)
class Node:
    """One NUMA node. `ranges` are its online memory blocks, merged, ascending."""

    id: int
    cpus: tuple[int, ...]
    total_bytes: int
    free_bytes: int
    ranges: tuple[PhysRange, ...]
    zones: tuple[str, ...]
    distances: dict[int, int]
    access: Access | None
    cxl_regions: tuple[CxlRegion, ...]

    @property
    def has_memory(self) -> bool:
        """Whether any of its memory is online."""
        return self.total_bytes > 0

    @property
    def is_cpuless(self) -> bool:
        """Memory without CPUs, as CXL memory is shown."""
        return self.has_memory and not self.cpus

    @property
    def is_cxl(self) -> bool:
        """Whether a CXL region is behind some of its memory."""
        return bool(self.cxl_regions)

    @property
    def is_movable_only(self) -> bool:
        """All of its memory is in ZONE_MOVABLE: the kernel keeps nothing of its own there."""
        return self.zones == ("Movable",)


def read_nodes(tree: Tree) -> tuple[Node, ...]:
    """All online nodes, by number."""
    base = tree.sysfs / "devices/system/node"
    online = read_list(base / "online") or tuple(numbered(base, "node"))
    if not online:
        raise TiermemError(f"{base}: shows no node; is this kernel built with CONFIG_NUMA?")
    regions = read_regions(tree)
    return tuple(_read_node(tree, node, online, regions) for node in online)


def read_regions(tree: Tree) -> tuple[CxlRegion, ...]:
    """The CXL regions that are committed, by address."""
    found = []
    for path in numbered(tree.sysfs / "bus/cxl/devices", "region").values():
        start = read_int(path / "resource", base=0)
        size = read_int(path / "size", base=0)
        # A region that is not committed has a resource of all ones, or none.
        if start is None or not size or start == 2**64 - 1:
            continue
        mode = read_text(path / "mode") or "?"
        found.append(CxlRegion(path.name, PhysRange(start, start + size), mode))
    return tuple(sorted(found, key=lambda region: region.range))


def find_node(nodes: Iterable[Node], number: int) -> Node:
    """The one of that number; TiermemError names those that there are."""
    by_number = {node.id: node for node in nodes}
    if number not in by_number:
        known = ", ".join(map(str, by_number))
        raise TiermemError(f"node {number}: is not online (online: {known})")
    return by_number[number]


def free_bytes(tree: Tree, node: int) -> int:
    """The node's free memory now, without reading anything else of it."""
    return _meminfo(tree.sysfs / f"devices/system/node/node{node}", node)["MemFree"]


def _read_node(
    tree: Tree, node: int, online: tuple[int, ...], regions: tuple[CxlRegion, ...]
) -> Node:
    path = tree.sysfs / f"devices/system/node/node{node}"
    meminfo = _meminfo(path, node)
    ranges, zones = _read_blocks(tree, path)
    distances = (read_text(path / "distance") or "").split()
    return Node(
        id=node,
        cpus=read_list(path / "cpulist"),
        total_bytes=meminfo["MemTotal"],
        free_bytes=meminfo["MemFree"],
        ranges=ranges,
        zones=zones,
        distances=dict(zip(online, map(int, distances), strict=False)),
        access=_read_access(path),
        cxl_regions=tuple(r for r in regions if any(r.range.overlaps(own) for own in ranges)),
    )


def _meminfo(path: Path, node: int) -> dict[str, int]:
    """Bytes by name, from lines like `Node 0 MemFree:  1024 kB`."""
    text = read_text(path / "meminfo")
    if text is None:
        raise TiermemError(f"node {node}: is not online ({path} is not there)")
    fields = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4:
            fields[words[2].rstrip(":")] = int(words[3]) * (1024 if words[-1] == "kB" else 1)
    if "MemTotal" not in fields or "MemFree" not in fields:
        raise TiermemError(f"node {node}: {path / 'meminfo'} does not say MemTotal and MemFree")
    return fields


def _read_blocks(tree: Tree, path: Path) -> tuple[tuple[PhysRange, ...], tuple[str, ...]]:
    """Where the node's online memory blocks lie, and which zones they are in."""
    block_bytes = read_int(tree.sysfs / "devices/system/memory/block_size_bytes", base=16)
    if not block_bytes:
        return (), ()
    ranges, zones = [], set()
    for number, block in numbered(path, "memory").items():
        if read_text(block / "state") == "online":
            ranges.append(PhysRange(number * block_bytes, (number + 1) * block_bytes))
            # Of an online block, valid_zones shows the one that it is in.
            zones.update((read_text(block / "valid_zones") or "none").split()[:1])
    return merge_ranges(ranges), tuple(sorted(zones - {"none"}))


def merge_ranges(ranges: Iterable[PhysRange]) -> tuple[PhysRange, ...]:
    """The same addresses in as few ranges as possible, ascending."""
    merged: list[PhysRange] = []
    for current in sorted(ranges):
        if merged and current.start <= merged[-1].end:
            merged[-1] = PhysRange(merged[-1].start, max(merged[-1].end, current.end))
        else:
            merged.append(current)
    return tuple(merged)


def _read_access(path: Path) -> Access | None:
    """Class 1 counts CPUs only as initiators, class 0 also devices: CPUs are what we ask for."""
    for access_class in ("access1", "access0"):
        initiators = path / access_class / "initiators"
        figures = {
            name: read_int(initiators / name)
            for name in ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
        }
        # Nobody has told the kernel where it shows nothing, or nought.
        if any(figures.values()):
            return Access(
                initiators=tuple(numbered(initiators, "node")),
                read_latency_ns=figures["read_latency"] or None,
                write_latency_ns=figures["write_latency"] or None,
                read_bandwidth_Bps=_bytes_per_s(figures["read_bandwidth"]),
                write_bandwidth_Bps=_bytes_per_s(figures["write_bandwidth"]),
            )
    return None


def _bytes_per_s(megabytes_per_s: int | None) -> int | None:
    return megabytes_per_s * 10**6 if megabytes_per_s else None
