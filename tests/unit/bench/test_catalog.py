"""What is run: specs that survive their trip to the guest, one config for every workload."""

from __future__ import annotations

import tomllib

import pytest
from tiermem.m5.settings import M5Settings

from bench.catalog import M5, POLICIES, WORKLOADS, m5_config, run_spec
from bench.guest.policies import damo_arguments
from bench.guest.run import POLICIES as GUEST_POLICIES
from bench.guest.spec import IDENTIFY, RunResult, RunSpec
from bench.m5 import QUICK_POLICIES, QUICK_WORKLOADS, plan
from tests.unit.bench.results import a_result


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_spec_survives_its_trip(workload: str, policy: str) -> None:
    spec = run_spec(WORKLOADS[workload], POLICIES[policy], 7, "full")
    assert RunSpec.from_json(spec.to_json()) == spec
    assert spec.program[-1] == "seed=7"


def test_a_result_survives_its_trip() -> None:
    result = a_result(
        policy=M5,
        phases={"measure": {"reads": [1, 2]}},
        placement={"start": {"0": 3}},
        kernel_cpu_ns={"kswapd0": 5},
        daemon_cpu_ns=7,
        vmstat={"numa_hit": 8},
        hot_pfns=[9],
    )
    assert RunResult.from_json(result.to_json()) == result


def test_the_guest_knows_every_policy() -> None:
    assert set(GUEST_POLICIES) == set(POLICIES)


@pytest.mark.parametrize("policy", [one for one in POLICIES.values() if one.is_m5])
def test_the_daemon_runs_with_its_defaults_but_for_nominator_and_tracker(policy: object) -> None:
    text = m5_config(policy, dry_run=False)  # type: ignore[arg-type]
    given = M5Settings.model_validate(tomllib.loads(text)).model_dump()
    default = M5Settings().model_dump()
    for key in ("socket", "state_file"):
        del given[key], default[key]
    given["nominator"]["mode"] = default["nominator"]["mode"]
    given["tracker"]["kind"] = default["tracker"]["kind"]
    if policy.nominator == "hwt":  # type: ignore[attr-defined]
        # Words alone want a list as long as that of pages.
        assert given["tracker"]["hwt"]["entries"] == default["tracker"]["hpt"]["entries"]
        given["tracker"]["hwt"]["entries"] = default["tracker"]["hwt"]["entries"]
    assert given == default


def test_the_default_nominator_is_the_one_the_figures_are_about() -> None:
    assert POLICIES[M5].nominator == M5Settings().nominator.mode
    assert POLICIES[M5].tracker == M5Settings().tracker.kind


def test_all_runs_of_a_workload_do_the_same_work() -> None:
    for workload in WORKLOADS.values():
        specs = [run_spec(workload, policy, 1, "full") for policy in POLICIES.values()]
        # The warm-up too: what a program does depends on what it did before.
        assert len({(spec.program, spec.units, spec.server) for spec in specs}) == 1


def test_quick_keeps_every_comparison_the_figures_need() -> None:
    specs = plan("quick", QUICK_WORKLOADS, QUICK_POLICIES, [1])
    assert {spec.policy for spec in specs} >= {"none", "numab", "damon", M5}
    assert any(spec.purpose == IDENTIFY and spec.policy == M5 for spec in specs)


def test_full_judges_the_kernels_policies_and_the_default_one() -> None:
    specs = plan("full", list(WORKLOADS), list(POLICIES), [1, 2])
    judged = {spec.policy for spec in specs if spec.purpose == IDENTIFY}
    assert judged == {"numab", "damon", M5}
    assert {spec.seed for spec in specs if spec.purpose != IDENTIFY} == {1, 2}


def test_identification_by_damon_moves_nothing() -> None:
    assert not any("migrate" in word for word in damo_arguments(identify=True))
    assert "migrate_hot" in damo_arguments(identify=False)
    assert "migrate_cold" in damo_arguments(identify=False)


def test_damons_goals_are_beyond_what_the_kernel_keeps_free() -> None:
    assert {"0.50%", "99.70%"} <= set(damo_arguments(identify=False))
    assert {"1.75%", "98.45%"} <= set(damo_arguments(identify=False, kept_free_percent=1.25))
