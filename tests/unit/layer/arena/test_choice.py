"""Which nodes are meant: tiers by their place, nodes by number, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import TiermemError
from tiermem.layer.arena.choice import Choice, check_allowed, choose_nodes
from tiermem.layer.sysfs import Tree
from tiermem.layer.topology import Topology, read_topology

from tests.unit.layer.trees import machine, node, plant


def choose(topology: Topology, *tier: Any, **asked: Any) -> Choice:
    return choose_nodes(topology.nodes, topology.tiers, *tier, **asked)


@pytest.fixture
def topology(tmp_path: Path) -> Topology:
    """Numbers say nothing of speed; node 3 of the slow tier has no memory."""
    nodes = (
        node(0, blocks=[8]),
        node(1, cpus="0", blocks=[0]),
        node(2, cpus="1", blocks=[1]),
        node(3),
    )
    return read_topology(*plant(machine(*nodes, tiers={4: "1-2", 22: "0,3"}), tmp_path))


def test_a_tier_by_its_place_or_its_end(topology: Topology) -> None:
    fast, slow = Choice((1, 2), 0, 2), Choice((0,), 1, 2)
    assert choose(topology) == choose(topology, "fastest") == fast
    assert choose(topology, 0) == fast
    assert choose(topology, "slowest") == choose(topology, 1) == slow


def test_nodes_by_number_and_the_tier_that_they_are_of(topology: Topology) -> None:
    assert choose(topology, nodes=[2]) == Choice((2,), 0, 2)
    assert choose(topology, nodes={2, 1}) == Choice((1, 2), 0, 2)
    assert choose(topology, nodes=(0, 1)) == Choice((0, 1), None, 2)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"tier": 2}, r"tier = 2: must be 'fastest', 'slowest' or a place from 0 .* to 1"),
        ({"tier": "cxl"}, "tier = 'cxl': must be"),
        ({"tier": True}, "tier = True: must be"),
        ({"tier": 0, "nodes": [1]}, "give one of them"),
        ({"nodes": []}, "at least one is needed"),
        ({"nodes": [3]}, "node 3: has no memory online"),
        ({"nodes": [9]}, r"node 9: is not online \(online: 0, 1, 2, 3\)"),
    ],
)
def test_what_is_not_there(topology: Topology, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(TiermemError, match=says):
        choose(topology, **asked)


def test_nodes_can_be_named_where_the_kernel_knows_no_tiers(tmp_path: Path) -> None:
    old = read_topology(*plant(machine(node(0, cpus="0", blocks=[0]), tiers={}), tmp_path))
    assert choose(old, nodes=[0]) == Choice((0,), None, 0)
    with pytest.raises(TiermemError, match=r"knows no memory tiers .*: name nodes"):
        choose(old, "fastest")


def test_a_cpuset_that_leaves_a_node_out(tmp_path: Path) -> None:
    tree = Tree(*plant({"/proc/self/status": "Name:\tx\nMems_allowed_list:\t0,2-3\n"}, tmp_path))
    check_allowed([0, 3], tree)
    with pytest.raises(TiermemError, match=r"nodes \[1\]: .* allows memory of nodes \[0, 2, 3\]"):
        check_allowed([0, 1], tree)
