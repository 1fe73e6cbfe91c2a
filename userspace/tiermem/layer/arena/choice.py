"""Which nodes an arena's memory is to come from: a tier by its place, or nodes by number."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from tiermem.errors import TiermemError
from tiermem.layer.nodes import Node, find_node
from tiermem.layer.sysfs import Tree, parse_list, read_text
from tiermem.layer.topology import Tier

TierChoice = int | Literal["fastest", "slowest"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Nodes, and their tier's place of `tiers` (0 is fastest); None: they are of no one tier."""

    nodes: tuple[int, ...]
    tier: int | None
    tiers: int


def choose_nodes(
    online: Sequence[Node],
    tiers: Sequence[Tier],
    tier: TierChoice | None = None,
    nodes: Collection[int] | None = None,
) -> Choice:
    """Those of a tier that have memory, or those named; neither: the fastest tier's.

    `online` and `tiers` are what there is, as in a Topology; TiermemError says it.
    """
    if nodes is None:
        place = _place(len(tiers), "fastest" if tier is None else tier)
        members = [find_node(online, number) for number in tiers[place].nodes]
        with_memory = tuple(node.id for node in members if node.has_memory)
        if not with_memory:
            raise TiermemError(f"tier {place}: none of its nodes has memory online")
        return Choice(with_memory, place, len(tiers))
    if tier is not None:
        raise TiermemError(f"tier = {tier!r} and nodes = {sorted(nodes)}: give one of them")
    if not nodes:
        raise TiermemError("nodes: at least one is needed")
    for number in nodes:
        if not find_node(online, number).has_memory:
            raise TiermemError(f"node {number}: has no memory online")
    holding = [place for place, one in enumerate(tiers) if set(nodes) <= set(one.nodes)]
    return Choice(tuple(sorted(set(nodes))), holding[0] if holding else None, len(tiers))


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


def _place(count: int, tier: TierChoice) -> int:
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
