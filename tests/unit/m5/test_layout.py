"""Fast and slow nodes, by the kernel's tiers or by the config."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.layer.topology import read_topology
from tiermem.m5.layout import choose_layout
from tiermem.m5.settings import TierSettings

from tests.unit.m5.trees import BLOCK_BYTES, make_tree

BLOCK_PAGES = BLOCK_BYTES // 4096


def test_the_kernel_s_tiers_decide(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    layout = choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))
    assert (layout.fast_nodes, layout.slow_nodes) == ((0,), (1,))
    assert [(one.start, one.end) for one in layout.slow_ranges] == [(BLOCK_BYTES, 2 * BLOCK_BYTES)]


def test_pages_go_to_their_nearest_fast_node_and_strangers_nowhere(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    layout = choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))
    pages = np.array([BLOCK_PAGES + 5, 3, BLOCK_PAGES, 2 * BLOCK_PAGES], dtype=np.uint64)
    [(node, places)] = layout.by_target(pages)
    assert (node, places.tolist()) == (0, [0, 2])


def test_one_tier_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    shutil.rmtree(tree.sysfs / "devices/virtual/memory_tiering/memory_tier22")
    with pytest.raises(MissingError, match="doctor"):
        choose_layout(TierSettings(), read_topology(tree.sysfs, tree.proc))
    named = TierSettings(fast_nodes=[0], slow_nodes=[1])
    layout = choose_layout(named, read_topology(tree.sysfs, tree.proc))
    assert layout.slow_nodes == (1,)


@pytest.mark.parametrize(
    ("fast", "slow", "said"),
    [([0], [7], "node 7"), ([0, 1], [1], "both"), ([9], [1], "node 9")],
)
def test_wrong_nodes_are_named(tmp_path: Path, fast: list[int], slow: list[int], said: str) -> None:
    tree = make_tree(tmp_path)
    topology = read_topology(tree.sysfs, tree.proc)
    with pytest.raises(ConfigError, match=said):
        choose_layout(TierSettings(fast_nodes=fast, slow_nodes=slow), topology)
