"""What `python -m bench.plugin` makes of its runs: ratios, and which are over their limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import plugin
from bench.plugin import LIMITS, WORKLOADS, Run, over_limit, ratio


def result(idle: float, armed: float) -> dict[str, Any]:
    figures = {"plugin_idle_ratio": idle, "plugin_armed_ratio": armed}
    by_workload = {"idle": dict.fromkeys(WORKLOADS, idle), "armed": dict.fromkeys(WORKLOADS, armed)}
    return {"figures": figures, "over_limit": over_limit(figures), "by_workload": by_workload}


def test_a_ratio_is_that_of_the_best_rounds() -> None:
    runs = [
        Run("idle", mode, workload, number, seconds)
        for workload in WORKLOADS
        for mode, rounds in (("plain", (2.0, 3.0)), ("idle", (9.0, 2.1)))
        for number, seconds in enumerate(rounds)
    ]
    assert ratio(runs, "idle") == (1.05, dict.fromkeys(WORKLOADS, 1.05))


@pytest.mark.parametrize(
    ("ratios", "over"),
    [
        ((1.05, 2.5), []),
        ((1.051, 2.4), ["plugin_idle_ratio"]),
        ((1.2, 2.51), ["plugin_idle_ratio", "plugin_armed_ratio"]),
    ],
)
def test_a_figure_over_its_limit_is_said_and_is_no_failure(
    ratios: tuple[float, float],
    over: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(plugin, "OUT", tmp_path / "out/plugin.json")
    monkeypatch.setattr(plugin, "measure", lambda rounds: result(*ratios))
    monkeypatch.setenv("COLUMNS", "120")
    assert plugin.main() == 0
    assert json.loads(plugin.OUT.read_text())["over_limit"] == over
    printed = capsys.readouterr()
    assert printed.out.count("over its limit") == len(over)
    assert printed.out.count("within") == len(LIMITS) - len(over)
    for name in LIMITS:
        assert (f"bench.plugin: {name} " in printed.err) == (name in over)
