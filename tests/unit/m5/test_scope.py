"""Scope: whose frames are in, for a cgroup, for processes, for everybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError
from tiermem.layer.sysfs import Tree
from tiermem.m5.hotlist import U64
from tiermem.m5.scope import Everybody, Scope, keep_in_scope, leaves_out, make_scope
from tiermem.m5.settings import ScopeSettings

from tests.unit.m5.lists import S, lines, pages
from tests.unit.m5.trees import add_process

FRAMES = np.array([1, 2, 3, 4], dtype=np.uint64)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys", tmp_path / "proc")
    (tree.sysfs / "fs/cgroup/web/worker").mkdir(parents=True)
    (tree.sysfs / "fs/cgroup/batch").mkdir()
    add_process(tree, 7, {0: 1, 5: 3}, cgroup="/web/worker")
    add_process(tree, 8, {0: 2}, cgroup="/batch")
    return tree


def charge(tree: Tree, owners: list[str]) -> None:
    """Frame i + 1 is charged to cgroup `owners[i]`."""
    inodes = [(tree.sysfs / "fs/cgroup" / name).stat().st_ino for name in owners]
    words = np.array([0, *inodes], dtype=np.uint64)
    (tree.proc / "kpagecgroup").write_bytes(words.tobytes())


def inside(scope: Scope, now_ns: int = 0, frames: U64 = FRAMES) -> list[int]:
    return frames[scope.contains(frames, now_ns)].tolist()


def test_without_a_scope_it_is_everybody(tree: Tree) -> None:
    scope = make_scope(ScopeSettings(), tree)
    assert isinstance(scope, Everybody)
    assert inside(scope) == [1, 2, 3, 4]


def test_a_cgroup_s_pages_and_those_of_groups_below_it_are_in(tree: Tree) -> None:
    charge(tree, ["web", "batch", "web/worker"])
    assert inside(make_scope(ScopeSettings(cgroup="web"), tree)) == [1, 3]
    assert inside(make_scope(ScopeSettings(cgroup="/web/worker"), tree)) == [3]


def test_a_group_that_is_new_is_noticed_within_a_second(tree: Tree) -> None:
    charge(tree, ["batch"])
    scope = make_scope(ScopeSettings(cgroup="web"), tree)
    assert inside(scope) == []
    (tree.sysfs / "fs/cgroup/web/other").mkdir()
    charge(tree, ["web/other"])
    assert inside(scope, S // 2) == []
    assert inside(scope, S) == [1]


def test_a_cgroup_that_is_not_there_is_refused(tree: Tree) -> None:
    with pytest.raises(ConfigError, match=r"scope\.cgroup = 'nobody': there is no cgroup"):
        make_scope(ScopeSettings(cgroup="nobody"), tree)


def test_processes_are_told_by_their_page_maps(tree: Tree) -> None:
    assert inside(make_scope(ScopeSettings(pids=[7]), tree)) == [1, 3]
    assert inside(make_scope(ScopeSettings(pids=[7, 8]), tree)) == [1, 2, 3]


def test_a_process_that_has_ended_has_no_pages(tree: Tree) -> None:
    assert inside(make_scope(ScopeSettings(pids=[7, 999]), tree)) == [1, 3]
    assert inside(make_scope(ScopeSettings(pids=[999]), tree)) == []


def test_page_maps_are_read_once_a_second(tree: Tree) -> None:
    scope = make_scope(ScopeSettings(pids=[7]), tree)
    assert inside(scope) == [1, 3]
    add_process(tree, 7, {0: 4})
    assert inside(scope, S // 2) == [1, 3]
    assert inside(scope, S) == [4]


def test_lists_keep_what_is_in_and_count_what_is_not(tree: Tree) -> None:
    scope = make_scope(ScopeSettings(pids=[7]), tree)
    kept, dropped = keep_in_scope((pages({1: 10, 2: 20}), lines({3 * 64 + 5: 7})), scope, 0)
    assert [one.pages.tolist() for one in kept] == [[1], [3]]
    assert [one.counts.tolist() for one in kept] == [[10], [7]]
    assert dropped == 1


@pytest.mark.parametrize(
    ("scope", "pid", "said"),
    [
        (ScopeSettings(), 7, ""),
        (ScopeSettings(pids=[7]), 7, ""),
        (ScopeSettings(pids=[7]), 8, "scope.pids = [7]"),
        (ScopeSettings(cgroup="web"), 7, ""),
        (ScopeSettings(cgroup="/"), 8, ""),
        (ScopeSettings(cgroup="web/work"), 7, 'scope.cgroup = "web/work"'),
        (ScopeSettings(cgroup="web"), 8, 'scope.cgroup = "web"'),
    ],
)
def test_a_process_outside_is_told_by_which_key(
    tree: Tree, scope: ScopeSettings, pid: int, said: str
) -> None:
    assert leaves_out(pid, scope, tree) == said
