"""Restore or recompute: from what was measured."""

from __future__ import annotations

import pytest
from tiermem.serving.kv.cost import Choice, CostModel

MIB = 1 << 20


def model(memory_MiBps: float, ssd_MiBps: float, tokens_per_s: float) -> CostModel:  # noqa: N803
    """Blocks of 1 MiB and 100 tokens."""
    made = CostModel(MIB, 100)
    made.note_transfer("memory", int(memory_MiBps * MIB), 1.0)
    made.note_transfer("ssd", int(ssd_MiBps * MIB), 1.0)
    made.note_prefill(1000, int(tokens_per_s), 1.0)
    return made


def test_before_anything_is_measured_all_is_restored() -> None:
    assert CostModel(MIB, 100).choose(0, {"memory": 3}, {"ssd": 4}, is_hidden=False) == Choice(3, 4)


def test_a_tier_slower_than_computing_is_left_out() -> None:
    # Computing takes 100 ms a block.
    assert model(1000, 100, 1000).choose(0, {"memory": 3}, {"ssd": 4}, is_hidden=False) == Choice(
        3, 4
    )
    assert model(1000, 5, 1000).choose(0, {"memory": 3}, {"ssd": 4}, is_hidden=False) == Choice(
        3, 0
    )
    assert model(5, 1000, 1000).choose(0, {"memory": 3}, {"ssd": 4}, is_hidden=False) == Choice(
        0, 0
    )


def test_each_near_memory_has_a_speed_of_its_own() -> None:
    made = model(1000, 1000, 1000)
    made.note_transfer("cxl", 5 * MIB, 1.0)
    assert made.choose(0, {"memory": 3}, {}, is_hidden=False) == Choice(3, 0)
    assert made.choose(0, {"memory": 3, "cxl": 3}, {}, is_hidden=False) == Choice(0, 0)
    assert made.choose(0, {"memory": 100, "cxl": 3}, {}, is_hidden=False) == Choice(103, 0)


def test_what_is_staged_is_restored_from_where_it_is_staged() -> None:
    slow = CostModel(MIB, 100, staged_in="cxl")
    for tier, rate in (("memory", 1000), ("cxl", 5), ("ssd", 1000)):
        slow.note_transfer(tier, rate * MIB, 1.0)  # type: ignore[arg-type]
    slow.note_prefill(1000, 1000, 1.0)
    assert slow.choose(0, {}, {"ssd": 4}, is_hidden=True) == Choice(0, 0)
    # What is there already, behind a block that is not, is not staged.
    assert slow.choose(0, {}, {"ssd": 1, "memory": 3}, is_hidden=True) == Choice(0, 4)


def test_staging_that_others_hide_costs_nothing() -> None:
    assert model(1000, 5, 1000).choose(0, {"memory": 3}, {"ssd": 4}, is_hidden=True) == Choice(3, 4)


def test_a_tier_that_loses_is_tried_again_now_and_then() -> None:
    slow = model(1000, 5, 1000)
    tries = [slow.choose(0, {}, {"ssd": 4}, is_hidden=False).staged_blocks for _ in range(100)]
    assert tries.count(4) == 3


def test_prefill_is_known_by_length_or_by_the_nearest_length() -> None:
    made = CostModel(MIB, 100)
    made.note_prefill(1000, 1000, 1.0)
    made.note_prefill(8000, 1000, 4.0)
    assert made.prefill_s(0, 9) == pytest.approx(0.9)
    assert made.prefill_s(70, 9) == pytest.approx(3.6)
    assert made.prefill_s(500, 9) == pytest.approx(3.6)
    for _ in range(40):
        made.note_prefill(1000, 500, 1.0)
    assert made.prefill_s(0, 9) == pytest.approx(1.8, rel=0.01)
