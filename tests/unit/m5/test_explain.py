"""`explain`: what a round said of a frame is said of the page that lay there then, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import ProcessGoneError
from tiermem.layer.promote_device import PromoteCode
from tiermem.layer.sysfs import Tree
from tiermem.m5.explain import Frames, explain, read_frames
from tiermem.m5.observation import Verdict
from tiermem.m5.rounds import Round

from tests.unit.m5.made_rounds import a_round
from tests.unit.m5.trees import add_process

PID = 7
# The process' pages 1, 2, 3 lie in these frames, in this order.
A, B, C = 101, 102, 103
# Its page map is read from 100 to 110.
BEFORE, DURING, AFTER, LATER = 50, 105, 150, 160


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "sys", tmp_path / "proc")
    add_process(tree, PID, {1: A, 2: B, 3: C})
    return tree


def answer(tree: Tree, *rounds: Round) -> dict[str, Any]:
    frames = Frames(read_frames(PID, tree.proc).index, began_ns=100, ended_ns=110)
    return explain(PID, frames, rounds, tree.proc)


def said(tree: Tree, *rounds: Round) -> dict[int, str]:
    """By page number, the result if there is one, else the verdict."""
    pages = answer(tree, *rounds)["pages"]
    return {int(page["address"], 16) // 4096: page["result"] or page["verdict"] for page in pages}


def test_a_page_is_named_with_what_the_last_round_said_of_it(tree: Tree) -> None:
    first = a_round(BEFORE, {A: Verdict.ONE_OFF, B: PromoteCode.BUSY})
    second = a_round(BEFORE + 1, {A: Verdict.NO_PROFIT, 999: Verdict.PROMOTE})
    assert said(tree, first, second) == {1: "no_profit", 2: "busy"}


def test_a_frame_that_was_moved_out_of_holds_another_page_now(tree: Tree) -> None:
    moved = a_round(BEFORE, {A: PromoteCode.MOVED, B: PromoteCode.NOT_MOVABLE})
    assert said(tree, moved) == {2: "not_movable"}


def test_what_was_said_before_such_a_move_is_of_the_page_that_left_too(tree: Tree) -> None:
    judged = a_round(BEFORE, {A: Verdict.NO_PROFIT})
    moved = a_round(BEFORE + 1, {A: PromoteCode.MOVED})
    assert said(tree, judged, moved) == {}


def test_what_was_said_after_it_is_of_the_page_that_came(tree: Tree) -> None:
    moved = a_round(BEFORE, {A: PromoteCode.MOVED}, number=1)
    judged = a_round(BEFORE + 2, {A: Verdict.ONE_OFF}, number=3)
    assert said(tree, moved, judged) == {1: "one_off"}


@pytest.mark.parametrize("next_ns", [BEFORE + 1, AFTER])
def test_the_next_list_has_the_reads_that_copied_the_page_away(tree: Tree, next_ns: int) -> None:
    moved = a_round(BEFORE, {A: PromoteCode.MOVED}, number=1)
    listed = a_round(next_ns, {A: Verdict.ONE_OFF, B: Verdict.SPARSE}, number=2)
    assert said(tree, moved, listed) == {2: "sparse"}


def test_a_page_that_moves_while_it_is_watched_is_named(tree: Tree) -> None:
    moved = a_round(AFTER, {A: PromoteCode.MOVED})
    of_who_came = a_round(LATER, {A: Verdict.ONE_OFF})
    assert said(tree, moved, of_who_came) == {1: "moved"}


def test_a_page_that_moved_while_the_map_was_read_is_not(tree: Tree) -> None:
    moved = a_round(DURING, {A: PromoteCode.MOVED, B: Verdict.SPARSE})
    of_who_came = a_round(LATER, {A: Verdict.ONE_OFF})
    assert said(tree, moved, of_who_came) == {2: "sparse"}


def test_pages_are_counted_by_verdict_and_result(tree: Tree) -> None:
    told = answer(tree, a_round(BEFORE, {A: Verdict.ONE_OFF, B: PromoteCode.BUSY}))
    assert told["pages_considered"] == 2
    assert told["verdicts"] == {"one_off": 1, "promote": 1}
    assert told["results"] == {"busy": 1}
    assert told["bytes_by_node"] == {"1": 3 * 4096}
    assert told["outside"] == ""


def test_a_process_that_has_ended_is_an_error(tree: Tree) -> None:
    with pytest.raises(ProcessGoneError):
        explain(PID + 1, read_frames(PID + 1, tree.proc), [], tree.proc)
