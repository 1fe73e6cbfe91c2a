"""What demotion costs, read off kswapd's thread and the nodes' counters."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.layer.sysfs import Tree
from tiermem.m5.kswapd_work import KswapdMeter, KswapdWork
from tiermem.m5.monitor import Monitor, NoTraffic
from tiermem.m5.settings import MonitorSettings

from tests.unit.m5.lists import S
from tests.unit.m5.trees import make_tree, write

NOTHING = KswapdWork(0, 0)


def kswapd(tree: Tree, pages: int, cpu_ns: int, *, node: int = 0, maps: str = "") -> None:
    """A node's kswapd, which has demoted so many pages since boot."""
    thread = tree.proc / str(50 + node)
    write(thread / "comm", f"kswapd{node}\n")
    write(thread / "maps", maps)
    write(thread / "schedstat", f"{cpu_ns} 17 3\n")
    vmstat = tree.sysfs / f"devices/system/node/node{node}/vmstat"
    counts = [line for line in vmstat.read_text().splitlines() if "pgdemote" not in line]
    vmstat.write_text("\n".join([*counts, f"pgdemote_kswapd {pages}", "pgdemote_direct 9"]) + "\n")


def started(tree: Tree, nodes: tuple[int, ...] = (0,)) -> KswapdMeter:
    """A meter that was asked once: from now on it measures."""
    meter = KswapdMeter(nodes, tree)
    assert meter.take() == NOTHING
    return meter


def test_what_was_done_before_the_first_question_does_not_count(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    kswapd(tree, 0, 0)
    meter = KswapdMeter((0,), tree)
    kswapd(tree, 100, 10**9)
    assert meter.take() == NOTHING


def test_work_is_what_was_done_since_the_last_answer(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    kswapd(tree, 1000, 5_000_000)
    meter = started(tree)
    kswapd(tree, 1100, 8_000_000)
    assert meter.take() == KswapdWork(100, 3_000_000)
    assert meter.take() == NOTHING


def test_searching_in_vain_is_charged_to_the_pages_found_at_last(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    kswapd(tree, 0, 0)
    meter = started(tree)
    kswapd(tree, 3, 50_000_000)
    assert meter.take() == NOTHING
    kswapd(tree, 100, 51_000_000)
    assert meter.take() == KswapdWork(100, 51_000_000)


def test_nodes_add_up(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    for node in (0, 1):
        kswapd(tree, 0, 0, node=node)
    meter = started(tree, (0, 1))
    for node in (0, 1):
        kswapd(tree, 100, 7, node=node)
    assert meter.take() == KswapdWork(200, 14)


def test_a_program_that_calls_itself_kswapd_is_not_taken_for_it(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    kswapd(tree, 0, 0, maps="0-1000 r-xp 00000000 00:00 0\n")
    meter = started(tree)
    kswapd(tree, 100, 10**9, maps="0-1000 r-xp 00000000 00:00 0\n")
    assert meter.take() == NOTHING


def test_what_cannot_be_measured_is_nothing(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    assert started(tree).take() == NOTHING  # no such thread
    kswapd(tree, 0, 0)
    meter = started(tree)
    (tree.proc / "50/schedstat").unlink()
    assert meter.take() == NOTHING
    kswapd(tree, 900, 900)
    assert meter.take() == NOTHING  # since when, nobody knows
    kswapd(tree, 1000, 1900)
    assert meter.take() == KswapdWork(100, 1000)


def test_the_monitor_learns_the_cost_of_a_demotion_from_it(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    kswapd(tree, 0, 0)
    monitor = Monitor((0,), (1,), NoTraffic(), MonitorSettings(), tree)
    monitor.sample(0)
    assert monitor.costs.demote_ns == MonitorSettings().demote_ns
    kswapd(tree, 1_000_000, 41_000_000_000)
    assert monitor.sample(S).costs.demote_ns == pytest.approx(41_000, rel=0.01)
