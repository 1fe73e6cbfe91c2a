"""Which nodes are fast and slow on this host, and which fast node a slow page goes to.

By default the kernel's memory tiers decide: fast is its top tier (where its own
promotions go), slow every tier below. The config may name nodes instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiermem.errors import ConfigError, MissingError
from tiermem.layer.nodes import PhysRange
from tiermem.layer.topology import Topology
from tiermem.m5.hotlist import U64
from tiermem.m5.settings import TierSettings


@dataclass(frozen=True, slots=True)
class SlowRange:
    """Page frames [first_pfn, end_pfn) of a slow node, and the nearest fast node."""

    first_pfn: int
    end_pfn: int
    target_node: int


@dataclass(frozen=True)
class Layout:
    """Fast and slow nodes; `fast_ranges` and `slow_ranges` are their physical addresses."""

    fast_nodes: tuple[int, ...]
    slow_nodes: tuple[int, ...]
    fast_ranges: tuple[PhysRange, ...]
    slow_ranges: tuple[PhysRange, ...]
    targets: tuple[SlowRange, ...]

    def by_target(self, pages: U64) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
        """(fast node, indices into `pages` that belong there); frames of no slow node are left out.

        Order within a node is that of `pages`.
        """
        for node in self.fast_nodes:
            near = np.zeros(pages.size, dtype=np.bool_)
            for one in self.targets:
                if one.target_node == node:
                    near |= (pages >= np.uint64(one.first_pfn)) & (pages < np.uint64(one.end_pfn))
            if near.any():
                yield node, np.flatnonzero(near)


def choose_layout(settings: TierSettings, topology: Topology) -> Layout:
    """The layout that the config and this host's topology give.

    MissingError where the host has one tier only; ConfigError for nodes that
    are not there, have no memory, or are named twice.
    """
    fast = tuple(settings.fast_nodes) or _fast_by_kernel(topology)
    slow = tuple(settings.slow_nodes) or _slow_by_kernel(topology, fast)
    if set(fast) & set(slow):
        raise ConfigError(f"tiers: node {min(set(fast) & set(slow))} is named both fast and slow")
    online = {node.id: node for node in topology.nodes}
    for key, nodes in (("fast_nodes", fast), ("slow_nodes", slow)):
        for number in nodes:
            if number not in online or not online[number].has_memory:
                known = ", ".join(str(one.id) for one in topology.nodes if one.has_memory)
                raise ConfigError(
                    f"tiers.{key}: node {number} has no online memory; nodes with memory: {known}"
                )
    return Layout(
        fast,
        slow,
        tuple(one for number in fast for one in online[number].ranges),
        tuple(one for number in slow for one in online[number].ranges),
        tuple(
            SlowRange(
                own.first_pfn,
                own.end_pfn,
                _nearest(fast, online[number].distances),
            )
            for number in slow
            for own in online[number].ranges
        ),
    )


def _nearest(nodes: tuple[int, ...], distances: dict[int, int]) -> int:
    return min(nodes, key=lambda node: distances.get(node, 255))


def _fast_by_kernel(topology: Topology) -> tuple[int, ...]:
    if not topology.is_tiered:
        raise MissingError(
            "the kernel sees one memory tier only: nothing to move between. `tiermem doctor` says "
            "why; nodes can be named in the config ([tiers] fast_nodes, slow_nodes)"
        )
    last = topology.tiers.index(topology.top_tier)
    return tuple(
        number
        for tier in topology.tiers[: last + 1]
        for number in tier.nodes
        if topology.node(number).has_memory
    )


def _slow_by_kernel(topology: Topology, fast: tuple[int, ...]) -> tuple[int, ...]:
    slow = tuple(
        number
        for tier in topology.tiers
        for number in tier.nodes
        if number not in fast and topology.node(number).has_memory
    )
    if not slow:
        raise MissingError("no memory node is slower than the fast nodes: nothing to move between")
    return slow
