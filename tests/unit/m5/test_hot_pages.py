"""Hot pages by process: those that are hot, in slow memory, and there now."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tiermem.layer.promote_device import PromoteCode
from tiermem.layer.sysfs import Tree
from tiermem.m5.hot_pages import HotPages
from tiermem.m5.observation import Verdict

from tests.unit.m5.made_rounds import READS_PER_S, a_round
from tests.unit.m5.trees import add_process

S = 1_000_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys", tmp_path / "proc")
    add_process(tree, 7, {1: 101, 2: 102}, command="redis")
    add_process(tree, 8, {1: 201, 2: 202, 3: 203}, command="bfs")
    return tree


def ago(seconds: float) -> int:
    return time.monotonic_ns() - round(seconds * S)


def test_the_process_with_the_most_reads_comes_first(tree: Tree) -> None:
    said = dict.fromkeys([101, 201, 202, 999], Verdict.ONE_OFF)
    assert HotPages(tree).by_process([a_round(ago(0), said)]) == [
        {"pid": 8, "command": "bfs", "hot_pages": 2, "reads_per_s": 2 * READS_PER_S},
        {"pid": 7, "command": "redis", "hot_pages": 1, "reads_per_s": READS_PER_S},
    ]


def test_pages_that_have_moved_up_are_no_longer_there(tree: Tree) -> None:
    one = a_round(ago(0), {101: PromoteCode.MOVED, 201: PromoteCode.BUSY})
    assert [found["pid"] for found in HotPages(tree).by_process([one])] == [8]


def test_frames_that_were_read_only_to_copy_a_page_away_are_not_hot(tree: Tree) -> None:
    moved = a_round(ago(0.2), {101: PromoteCode.MOVED}, number=4)
    listed = {101: Verdict.ONE_OFF, 201: Verdict.ONE_OFF}
    for number, pids in ((5, [8]), (6, [8, 7])):
        found = HotPages(tree).by_process([moved, a_round(ago(0.1), listed, number=number)])
        assert sorted(one["pid"] for one in found) == sorted(pids)


def test_a_round_of_long_ago_says_nothing_of_now(tree: Tree) -> None:
    said = {101: Verdict.ONE_OFF}
    assert HotPages(tree).by_process([a_round(ago(30), said)]) == []
    assert HotPages(tree).by_process([a_round(ago(30), said, next_round_ns=60 * S)])


def test_no_round_yet(tree: Tree) -> None:
    assert HotPages(tree).by_process([]) == []


def test_who_asks_again_at_once_gets_the_same_answer(tree: Tree) -> None:
    hot = HotPages(tree)
    first = hot.by_process([a_round(ago(0), {101: Verdict.ONE_OFF})])
    assert hot.by_process([a_round(ago(0), {201: Verdict.ONE_OFF})]) == first
