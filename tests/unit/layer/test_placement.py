"""Placement calls on this host's node 0: every page has a result, every error a name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import KernelError, ProcessGoneError, TiermemError
from tiermem.layer.placement import (
    MoveResult,
    Policy,
    bind,
    current_policy,
    migrate_process,
    move_pages,
    query_pages,
    set_policy,
)

from tests.unit.layer.memory import PAGE, anonymous, child

ABSENT_NODE = 1000


def _addresses(start: int, pages: int) -> np.ndarray:
    return np.arange(start, start + pages * PAGE, PAGE, dtype=np.uint64)


def test_pages_that_are_there_already_say_so() -> None:
    with anonymous(pages=2000, touched=2000) as address:
        moves = move_pages(0, _addresses(address, 2000), node=0)
    assert moves.counts() == {MoveResult.ALREADY_THERE: 2000}
    assert moves.moved_pages == 0


def test_untouched_unmapped_and_repeated_pages_are_told_apart() -> None:
    with anonymous(pages=2, touched=1) as address:
        asked = np.array([address, address + PAGE, PAGE, address + 7, 2**63], dtype=np.uint64)
        moves = move_pages(os.getpid(), asked, node=0)
        nodes = query_pages(os.getpid(), asked)
    assert [MoveResult(code) for code in moves.results] == [
        MoveResult.ALREADY_THERE,
        MoveResult.NOT_PRESENT,
        MoveResult.NOT_MAPPED,
        MoveResult.DUPLICATE,
        MoveResult.NOT_MAPPED,
    ]
    assert nodes.tolist() == [0, -errno.ENOENT, -errno.EFAULT, 0, -errno.EFAULT]


def test_another_process_pages() -> None:
    with child(pages=600) as (pid, address):
        assert set(query_pages(pid, _addresses(address, 600)).tolist()) == {0}
        moves = move_pages(pid, _addresses(address, 600), node=0, include_shared=True)
        assert moves.counts() == {MoveResult.ALREADY_THERE: 600}


def test_nothing_asked_nothing_moved() -> None:
    nothing = np.empty(0, dtype=np.uint64)
    assert move_pages(0, nothing, node=0).counts() == {}
    assert len(query_pages(0, nothing)) == 0


def test_a_node_that_is_not_there() -> None:
    with anonymous(pages=1, touched=1) as address, pytest.raises(KernelError) as caught:
        move_pages(0, _addresses(address, 1), node=ABSENT_NODE)
    assert caught.value.code == errno.ENODEV
    assert f"move 1 pages to node {ABSENT_NODE}" in str(caught.value)


def test_a_process_that_is_not_there() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    page = np.array([PAGE], dtype=np.uint64)
    for call in (
        lambda: move_pages(ended.pid, page, node=0),
        lambda: query_pages(ended.pid, page),
        lambda: migrate_process(ended.pid, [0], [0]),
    ):
        with pytest.raises(ProcessGoneError, match=f"process {ended.pid}: has ended"):
            call()


def test_addresses_of_a_wrong_shape() -> None:
    with pytest.raises(TiermemError, match=r"one row, not an array of shape \(2, 2\)"):
        move_pages(0, np.zeros((2, 2), dtype=np.uint64), node=0)


@settings(max_examples=60)
@given(
    st.lists(st.integers(min_value=0, max_value=2**64 - 1), max_size=50),
    st.integers(min_value=-5, max_value=2000),
)
def test_junk_gets_results_or_an_errno(addresses: list[int], node: int) -> None:
    """Whatever is asked: one known result a page, or one error."""
    asked = np.array(addresses, dtype=np.uint64)
    try:
        moves = move_pages(0, asked, node)
    except KernelError as error:
        assert error.code in (errno.ENODEV, errno.EACCES)
    else:
        assert len(moves.results) == len(asked)
        assert sum(moves.counts().values()) == len(asked)


def test_every_result_has_a_meaning() -> None:
    assert all(result.meaning for result in MoveResult)


def test_a_bound_range_keeps_its_policy() -> None:
    with anonymous(pages=4) as address:
        bind(address, 4 * PAGE, nodes=[0])
        assert current_policy(address) == (Policy.BIND, (0,))
        bind(address, 4 * PAGE, nodes=[], policy=Policy.DEFAULT)
        assert current_policy(address)[0] == Policy.DEFAULT


def test_a_policy_of_a_thread_is_its_own() -> None:
    seen = []

    def work() -> None:
        set_policy(Policy.INTERLEAVE, [0])
        seen.append(current_policy())
        set_policy(Policy.DEFAULT)
        seen.append(current_policy())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(Policy.INTERLEAVE, (0,)), (Policy.DEFAULT, ())]
    assert current_policy() == (Policy.DEFAULT, ())


def test_wrong_ranges_and_nodes_name_themselves() -> None:
    with pytest.raises(KernelError, match="for 4096 bytes at 0x1001: Invalid argument"):
        bind(PAGE + 1, PAGE, nodes=[0])
    with pytest.raises(KernelError, match=rf"nodes \[{ABSENT_NODE}\]"):
        set_policy(Policy.BIND, [ABSENT_NODE])
    with pytest.raises(TiermemError, match="node 1024: is not a node number"):
        set_policy(Policy.BIND, [1024])
    with pytest.raises(TiermemError, match="node -1: is not a node number"):
        bind(PAGE, PAGE, nodes=[-1])


def test_migrating_where_everything_is_leaves_nothing_behind() -> None:
    with child(pages=8) as (pid, _):
        assert migrate_process(pid, [0], [0]) == 0
