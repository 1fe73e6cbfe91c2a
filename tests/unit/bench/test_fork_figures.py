"""Figures of `bench.fork`: who is compared with whom, and which way is up."""

from __future__ import annotations

import pytest

from bench.fork_figures import figures, missed, rows
from bench.guest.fork_spec import COLD, CRIU_CXL, FORK, MOW_GHOST, ForkResult, Sharing
from tests.unit.bench.fork_results import MIB, a_result, a_start


def found(*results: ForkResult) -> dict[str, float | None]:
    return figures(rows(results), results)


def test_mow_with_a_ghost_is_compared_with_criu_on_cxl_memory_and_with_fork() -> None:
    small = a_result(
        a_start(FORK, 1.0),
        a_start(CRIU_CXL, 8.0, own_mib=20),
        a_start(MOW_GHOST, 2.0, own_mib=5),
        a_start("mow", 100.0),
    )
    large = a_result(
        a_start(FORK, 3.0),
        a_start(CRIU_CXL, 50.0, own_mib=250),
        a_start(MOW_GHOST, 2.0, own_mib=5),
        footprint_mib=256,
    )
    said = found(small, large)
    assert said["restore_speedup_over_criu"] == pytest.approx((4 * 25) ** 0.5)
    # With the call's millisecond: 3 to 2, and 3 to 4.
    assert said["first_call_over_fork"] == pytest.approx((1.5 * 0.75) ** 0.5)
    assert said["local_memory_vs_criu"] == pytest.approx((0.25 * 0.02) ** 0.5)
    assert said["restore_growth_24_to_256"] == pytest.approx(1.0)


def test_growth_is_of_one_function_at_both_ends() -> None:
    small = a_result(a_start(MOW_GHOST, 2.0))
    large = a_result(a_start(MOW_GHOST, 3.0), footprint_mib=256)
    other = a_result(a_start(MOW_GHOST, 9.0), footprint_mib=256, function="arithmetic")
    assert found(small, large, other)["restore_growth_24_to_256"] == pytest.approx(1.5)
    assert found(small, other)["restore_growth_24_to_256"] is None


def test_a_repeated_start_counts_by_its_median() -> None:
    starts = [a_start(COLD, restore_ms) for restore_ms in (1.0, 90.0, 3.0)]
    (row,) = rows([a_result(*starts)])
    assert row.restore_ms == pytest.approx(3.0)


def test_what_a_further_clone_adds_to_the_pool() -> None:
    few = Sharing(clones=1, pool_bytes=100 * MIB, own_bytes=0, dram_used_bytes=0)
    many = Sharing(clones=5, pool_bytes=148 * MIB, own_bytes=0, dram_used_bytes=0)
    said = found(a_result(footprint_mib=24, sharing=(few, many)))
    assert said["cxl_memory_per_extra_clone_share"] == pytest.approx(12 / 24)


def test_what_was_not_measured_has_no_figure() -> None:
    said = found(a_result(a_start(MOW_GHOST)))
    assert set(said.values()) == {None}


def test_phases_share_the_modelled_time_by_the_guests() -> None:
    start = a_start(MOW_GHOST, 1.0, guest_ns=4_000_000, phases_ns={"memory": 1_000_000})
    (row,) = rows([a_result(start)])
    assert row.phases_ms == pytest.approx({"rest": 0.75, "memory": 0.25})


def test_missed_goals_are_told() -> None:
    good = {
        "restore_speedup_over_criu": 2.26,
        "first_call_over_fork": 1.14,
        "restore_growth_24_to_256": 1.09,
        "local_memory_vs_criu": 0.13,
    }
    assert missed(dict(good)) == []
    assert missed(dict.fromkeys(good)) == []
    (said,) = missed({**good, "restore_growth_24_to_256": 1.1})
    assert said == "restore_growth_24_to_256 is 1.1; the goal is below 1.1"
    assert len(missed({**good, "restore_speedup_over_criu": 2.0, "local_memory_vs_criu": 0.2})) == 2
