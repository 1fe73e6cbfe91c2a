"""The plan of `bench.fork`, and specs and results as JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fork_catalog import FUNCTION, METHODS, Mode, plan
from bench.fork_figures import LARGE_MIB, SMALL_MIB
from bench.functions import __file__ as functions
from bench.guest.fork_spec import MOW_GHOST, ForkResult, ForkSpec, Sharing
from tests.unit.bench.fork_results import a_result, a_start


@pytest.mark.parametrize("mode", ["quick", "full"])
def test_each_mode_gives_the_growth_figure(mode: Mode) -> None:
    sizes = {spec.footprint_mib for spec in plan(mode) if spec.function == FUNCTION}
    assert {SMALL_MIB, LARGE_MIB} <= sizes


def test_the_full_plan_has_all_functions() -> None:
    there = {file.stem for file in Path(functions).parent.glob("*.py")} - {"__init__"}
    assert {spec.function for spec in plan("full")} == there


def test_no_two_runs_share_a_name() -> None:
    names = [spec.name for spec in plan("full")]
    assert len(set(names)) == len(names)


def test_the_headline_way_is_in_the_catalogue() -> None:
    assert MOW_GHOST in METHODS


def test_a_spec_comes_back_from_json() -> None:
    (spec, *_) = plan("quick")
    assert ForkSpec.from_json(spec.to_json()) == spec


def test_a_result_comes_back_from_json() -> None:
    result = a_result(a_start(MOW_GHOST), sharing=(Sharing(1, 2, 3, 4),))
    assert ForkResult.from_json(result.to_json()) == result
