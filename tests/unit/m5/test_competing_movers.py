"""Who else moves pages on this host, by its switches."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.layer.switches import read_switches
from tiermem.m5.competitors import competing_movers

from tests.unit.m5.damon_tree import with_damon
from tests.unit.m5.trees import make_tree, write


def test_alone_there_is_nothing_to_say(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    write(tree.proc / "sys/kernel/numa_balancing", "0\n")
    assert competing_movers(read_switches(tree), "device") == []


@pytest.mark.parametrize("switch", ["kernel/numa_balancing", "vm/zone_reclaim_mode"])
def test_a_mover_is_named_with_its_switch(tmp_path: Path, switch: str) -> None:
    tree = make_tree(tmp_path)
    write(tree.proc / "sys/kernel/numa_balancing", "0\n")
    write(tree.proc / "sys" / switch, "1\n")
    [said] = competing_movers(read_switches(tree), "device")
    assert switch.replace("/", ".") in said


def test_kdamonds_are_movers_unless_they_are_our_tracker(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path, kdamonds=1)
    write(tree.proc / "sys/kernel/numa_balancing", "0\n")
    write(admin / "0/state", "on\n")
    [said] = competing_movers(read_switches(tree), "device")
    assert "kdamonds" in said
    assert competing_movers(read_switches(tree), "damon") == []
