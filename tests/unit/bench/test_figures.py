"""Figures from runs: who is compared with whom, and which way is up."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.catalog import M5
from bench.figures import dram_read_share, figures, geometric_mean, row
from bench.guest.spec import RunResult
from tests.unit.bench.results import a_result


def run(workload: str, policy: str, modelled_s: float, seed: int = 1, **more: object) -> RunResult:
    measure = {"modelled_ns": modelled_s * 1e9, "guest_ns": 2e9, "reads": [3, 1]}
    return a_result(
        workload=workload,
        policy=policy,
        seed=seed,
        phases={"measure": measure},
        system_cpu_ns=1_000_000_000,
        **more,
    )


def test_speed_ups_are_of_m5_over_the_others() -> None:
    times = {
        "redis-b": {"none": 2.0, "numab": 1.5, "damon": 1.25, M5: 1.0, "oracle": 0.8},
        "hotset": {"none": 1.0, "numab": 1.5, "damon": 5.0, M5: 1.0, "oracle": 0.8},
    }
    rows = []
    for workload, by_policy in times.items():
        none = [run(workload, "none", by_policy["none"])]
        for policy, seconds in by_policy.items():
            rows.append(row([run(workload, policy, seconds)], none, None))
    found = figures(rows)
    assert found["geomean_over_damon"] == pytest.approx(2.5)
    assert found["geomean_over_numab"] == pytest.approx(1.5)
    assert found["worst_over_none"] == pytest.approx(1.0)
    assert found["mean_over_oracle"] == pytest.approx(0.8)
    assert found["accuracy"] is None


def test_what_was_not_run_has_no_figure() -> None:
    found = figures([row([run("redis-b", M5, 1.0)], [], 0.9)])
    assert found["geomean_over_damon"] is None
    assert found["worst_over_none"] is None
    assert found["accuracy"] == pytest.approx(0.9)


def test_a_row_averages_its_seeds() -> None:
    none = [run("hotset", "none", 3.0, seed=1), run("hotset", "none", 5.0, seed=2)]
    both = [
        run("hotset", M5, 1.0, seed=1, daemon_cpu_ns=2e7, pages_up=10),
        run("hotset", M5, 3.0, seed=2, daemon_cpu_ns=6e7, pages_up=20),
    ]
    summary = row(both, none, 0.5)
    assert summary.modelled_s == pytest.approx(2.0)
    assert summary.speedup_over_none == pytest.approx(2.0)
    assert summary.pages_up == 15
    assert summary.daemon_cpu_share == pytest.approx(0.02)
    assert summary.dram_read_share == pytest.approx(0.75)


def test_the_probe_is_believed_before_the_threads_own_account() -> None:
    threads = {"kswapd0": 2e8}
    plain = run("hotset", "numab", 1.0, kernel_cpu_ns=threads)
    probed = run("hotset", "numab", 1.0, kernel_cpu_ns=threads, notes={"tiering_cpu_ns": 4e8})
    assert row([plain], [plain], None).kernel_cpu_share == pytest.approx(0.1)
    assert row([probed], [probed], None).kernel_cpu_share == pytest.approx(0.2)


def test_no_reads_is_no_share() -> None:
    assert dram_read_share([0, 0]) == 0.0


@given(st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=20))
def test_the_geometric_mean_lies_within_and_inverts(values: list[float]) -> None:
    mean = geometric_mean(values)
    assert min(values) * 0.999 <= mean <= max(values) * 1.001
    assert math.isclose(geometric_mean([1 / value for value in values]), 1 / mean, rel_tol=1e-9)


def test_a_mean_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing"):
        geometric_mean([])


def test_moves_that_a_daemon_asks_for_are_the_kernels_work() -> None:
    ours = run("hotset", M5, 1.0, kernel_cpu_ns={"kswapd0": 1e8}, daemon_cpu_ns=8e7)
    ours = replace(ours, daemon_moving_ns=6e7)
    summary = row([ours], [], None)
    assert summary.kernel_cpu_share == pytest.approx(0.08)
    assert summary.daemon_cpu_share == pytest.approx(0.01)


def test_a_seed_whose_base_was_not_measured_gives_no_speed_up() -> None:
    none = [run("hotset", "none", 4.0, seed=1), run("hotset", "none", 400.0, seed=3)]
    both = [run("hotset", M5, 1.0, seed=1), run("hotset", M5, 1.0, seed=2)]
    assert row(both[:1], none, None).speedup_over_none == pytest.approx(4.0)
    assert row(both, none, None).speedup_over_none is None


def test_a_probe_that_saw_more_than_the_kernel_did_is_not_believed() -> None:
    lost_an_end = run("hotset", "numab", 1.0, notes={"tiering_cpu_ns": 19e8})
    assert row([lost_an_end], [], None).kernel_cpu_share is None
