"""Which nodes an arena's memory is to come from: a tier by its place, or nodes by number."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tiermem.errors import TiermemError
from tiermem.layer.sysfs import Tree, parse_list, read_text
from tiermem.layer.topology import Topology

TierChoice = int | Literal["fastest", "slowest"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Nodes, and their tier's place in `Topology.tiers`; None: they are of no one tier."""

    nodes: tuple[int, ...]
    tier: int | None
    tiers: int


def choose_nodes(
    topology: Topology, tier: TierChoice | None = None, nodes: Collection[int] | None = None
) -> Choice:
    """Those of a tier that have memory, or those named; neither: the fastest tier's.

    TiermemError says what there is.
    """
    if nodes is None:
        place = _place(topology, "fastest" if tier is None else tier)
        members = [topology.node(number) for number in topology.tiers[place].nodes]
        with_memory = tuple(node.id for node in members if node.has_memory)
        if not with_memory:
            raise TiermemError(f"tier {place}: none of its nodes has memory online")
        return Choice(with_memory, place, len(topology.tiers))
    if tier is not None:
        raise TiermemError(f"tier = {tier!r} and nodes = {sorted(nodes)}: give one of them")
    if not nodes:
        raise TiermemError("nodes: at least one is needed")
    for number in nodes:
        if not topology.node(number).has_memory:
            raise TiermemError(f"node {number}: has no memory online")
    places = {
        place for place, one in enumerate(topology.tiers) for node in nodes if node in one.nodes
    }
    in_one = len(places) == 1 and all(topology.tier_of(node) in places for node in nodes)
    return Choice(tuple(sorted(set(nodes))), places.pop() if in_one else None, len(topology.tiers))


def check_allowed(nodes: Collection[int], tree: Tree) -> None:
    """TiermemError where this process' cpuset leaves one of them out."""
    for line in (read_text(tree.proc / "self/status") or "").splitlines():
        if line.startswith("Mems_allowed_list:"):
            allowed = parse_list(line.split(":")[1].strip(), "Mems_allowed_list")
            if left_out := sorted(set(nodes) - set(allowed)):
                raise TiermemError(
                    f"nodes {left_out}: this process' cpuset allows memory of nodes "
                    f"{list(allowed)} only"
                )


def _place(topology: Topology, tier: TierChoice) -> int:
    count = len(topology.tiers)
    if not count:
        raise TiermemError("this kernel knows no memory tiers (Linux 6.1 and newer do): name nodes")
    named = {"fastest": 0, "slowest": count - 1}
    if isinstance(tier, str) and tier in named:
        return named[tier]
    if not isinstance(tier, int) or isinstance(tier, bool) or not 0 <= tier < count:
        raise TiermemError(
            f"tier = {tier!r}: must be 'fastest', 'slowest' or a place from 0 (fastest) "
            f"to {count - 1}"
        )
    return tier
