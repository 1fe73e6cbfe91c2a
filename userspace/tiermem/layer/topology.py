"""What memory this host has: nodes, tiers from fast to slow, demotion, the kernel's switches.

    topology = read_topology()
    for tier in topology.tiers: ...        # fastest first
    topology.demotion.targets[0]           # where node 0's cold pages go

Tiers are the kernel's own (/sys/devices/virtual/memory_tiering): it puts nodes
of like abstract distance into one tier, a smaller number being faster.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.nodes import (
    Access,
    CxlRegion,
    Node,
    PhysRange,
    find_node,
    free_bytes,
    read_nodes,
)
from tiermem.layer.switches import DamonState, Switches, read_switches
from tiermem.layer.sysfs import Tree, numbered, read_flag, read_list

__all__ = [
    "Access",
    "CxlRegion",
    "DamonState",
    "Demotion",
    "Node",
    "PhysRange",
    "Switches",
    "Tier",
    "Topology",
    "Tree",
    "free_bytes",
    "read_tiers",
    "read_topology",
]


@dataclass(frozen=True)
class Tier:
    """Nodes of like speed. `kernel_id` is the kernel's number for it."""

    kernel_id: int
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Demotion:
    """Whether reclaim moves cold pages to a slower tier, and where to.

    Kernels since 6.1 do not show the targets, so they are worked out by the
    rule of the kernel's establish_demotion_targets(): of the next slower tier,
    the nodes at the smallest distance. A node missing from `targets` has none.
    """

    is_enabled: bool | None
    targets: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Topology:
    """A snapshot; `tiers` fastest first, empty where the kernel knows no tiers."""

    nodes: tuple[Node, ...]
    tiers: tuple[Tier, ...]
    demotion: Demotion
    switches: Switches

    def node(self, number: int) -> Node:
        """The node of that number; TiermemError names those that there are."""
        return find_node(self.nodes, number)

    def tier_of(self, number: int) -> int:
        """The place in `tiers` (0 is fastest) of the tier that holds this node."""
        for place, tier in enumerate(self.tiers):
            if number in tier.nodes:
                return place
        self.node(number)
        raise TiermemError(f"node {number}: is in no memory tier")

    @property
    def is_tiered(self) -> bool:
        """Whether there is a slower tier to move pages to and from."""
        return len(self.tiers) > 1

    @property
    def top_tier(self) -> Tier:
        """The slowest tier that still has CPUs, and all above it, is where hot pages belong.

        The kernel promotes to no faster tier than the one of its CPUs
        (top_tier_adistance in mm/memory-tiers.c).
        """
        with_cpus = [
            tier for tier in self.tiers if any(self.node(number).cpus for number in tier.nodes)
        ]
        if not with_cpus:
            raise TiermemError("no memory tier has a node with CPUs")
        return with_cpus[-1]

    def node_of_pfn(self, pfn: int) -> int:
        """The node whose memory holds this page frame."""
        for node in self.nodes:
            if any(own.first_pfn <= pfn < own.end_pfn for own in node.ranges):
                return node.id
        raise TiermemError(f"page frame {pfn:#x}: is in no node's memory")


def read_topology(sysfs: Path = Path("/sys"), proc: Path = Path("/proc")) -> Topology:
    """Read everything now. TiermemError names the file or node that makes no sense."""
    tree = Tree(sysfs, proc)
    nodes = read_nodes(tree)
    tiers = read_tiers(tree)
    return Topology(
        nodes=nodes,
        tiers=tiers,
        demotion=Demotion(
            is_enabled=read_flag(sysfs / "kernel/mm/numa/demotion_enabled"),
            targets=demotion_targets(nodes, tiers),
        ),
        switches=read_switches(tree),
    )


def read_tiers(tree: Tree) -> tuple[Tier, ...]:
    """Fastest first, without reading what only root may; () where the kernel knows none."""
    folders = numbered(tree.sysfs / "devices/virtual/memory_tiering", "memory_tier")
    tiers = (Tier(number, read_list(path / "nodelist")) for number, path in folders.items())
    return tuple(tier for tier in tiers if tier.nodes)


def demotion_targets(
    nodes: tuple[Node, ...], tiers: tuple[Tier, ...]
) -> dict[int, tuple[int, ...]]:
    """By node: the nearest nodes of the next slower tier."""
    by_number = {node.id: node for node in nodes}
    targets = {}
    for tier, slower in itertools.pairwise(tiers):
        for source in tier.nodes:
            if source not in by_number:
                continue
            distances = by_number[source].distances
            nearest = min(distances.get(target, 255) for target in slower.nodes)
            targets[source] = tuple(
                target for target in slower.nodes if distances.get(target, 255) == nearest
            )
    return targets
