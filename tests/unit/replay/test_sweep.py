"""Sweeps: all combinations, in order, with the same results however many at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiermem.errors import ConfigError
from tiermem.replay.contenders import find_contender
from tiermem.replay.report import to_json
from tiermem.replay.sweep import parse_changes, plan, run_jobs

from .traces import machine, pattern, quick_settings

CONTENDERS = [find_contender(name) for name in ("none", "m5-hpt")]


def test_options_multiply() -> None:
    assert parse_changes([]) == [()]
    assert parse_changes(["nominator.min_visits=1,2", "elector.power=3"]) == [
        (("nominator.min_visits", "1"), ("elector.power", "3")),
        (("nominator.min_visits", "2"), ("elector.power", "3")),
    ]


@pytest.mark.parametrize("option", ["nominator.min_visits", "=1", "elector.power="])
def test_an_option_without_key_or_value_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        parse_changes([option])


def test_a_contender_without_rounds_runs_once() -> None:
    jobs = plan(CONTENDERS, quick_settings(), parse_changes(["nominator.min_visits=1,2"]))
    assert [(job.contender.name, job.settings.nominator.min_visits) for job in jobs] == [
        ("none", 2),
        ("m5-hpt", 1),
        ("m5-hpt", 2),
    ]


@pytest.mark.parametrize(
    "option", ["nominator.no_such_key=1", "nominator.min_visits=99", "policy.name=nobody"]
)
def test_wrong_values_are_found_before_anything_runs(option: str) -> None:
    with pytest.raises(ConfigError):
        plan(CONTENDERS, quick_settings(), parse_changes([option]))


def test_several_at_a_time_give_the_same_results_in_the_same_order() -> None:
    trace = pattern("hotset", records=200_000)
    jobs = plan(CONTENDERS, quick_settings(), parse_changes(["elector.victim_weight=0,2"]))
    alone = list(run_jobs(jobs, trace, machine(), workers=1))
    together = list(run_jobs(jobs, trace, machine(), workers=2))
    assert [job for job, _ in together] == jobs
    assert [replace(r, accesses_per_s=0) for _, r in together] == [
        replace(r, accesses_per_s=0) for _, r in alone
    ]


def test_json_has_the_speed_up_over_none() -> None:
    trace = pattern("hotset", records=200_000)
    outcomes = list(run_jobs(plan(CONTENDERS, quick_settings(), [()]), trace, machine(), 1))
    runs = to_json(outcomes, trace, machine())["runs"]
    assert runs[0]["speedup_over_none"] == 1.0
    assert runs[1]["speedup_over_none"] == pytest.approx(
        runs[0]["modelled_ms"] / runs[1]["modelled_ms"]
    )
