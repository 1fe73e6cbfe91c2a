"""`tiermem doctor` as a user calls it: table, JSON, exit status."""

from __future__ import annotations

import json

import pytest
from tiermem.cli import doctor as command
from tiermem.service.doctor import Finding, Status
from typer.testing import CliRunner

FIX = "echo 1 > /sys/kernel/mm/numa/demotion_enabled " + "x" * 200
OK = Finding("tiers", Status.OK, "tier 4: nodes 0 [fast]")
WARN = Finding("demotion", Status.WARN, "off", "cold pages stay", FIX)
FAIL = Finding("kernel", Status.FAIL, "Linux 5.10", "too old", "upgrade")


def _run(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(command, "look_at_host", lambda: None)
    monkeypatch.setattr(command, "examine", lambda _facts: findings)
    result = CliRunner().invoke(command.app, list(arguments))
    return result.exit_code, result.stdout


@pytest.mark.parametrize(
    ("findings", "status"), [([OK], 0), ([OK, WARN], 1), ([WARN, FAIL, OK], 2), ([FAIL], 2)]
)
def test_the_exit_status_is_the_worst_finding(
    monkeypatch: pytest.MonkeyPatch, findings: list[Finding], status: int
) -> None:
    assert _run(monkeypatch, findings)[0] == status


def test_the_table_shows_all_and_explains_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = _run(monkeypatch, [OK, WARN])
    assert "tier 4: nodes 0 [fast]" in text
    assert "demotion: cold pages stay" in text
    assert f"    {FIX}\n" in text, "a command is one line, to be copied"


def test_json_is_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = _run(monkeypatch, [OK, FAIL], "--json")
    assert status == 2
    assert json.loads(text)[1] == {
        "name": "kernel",
        "status": "fail",
        "seen": "Linux 5.10",
        "why": "too old",
        "fix": "upgrade",
    }


def test_this_host_can_be_examined() -> None:
    result = CliRunner().invoke(command.app, ["--json"])
    assert {finding["name"] for finding in json.loads(result.stdout)} >= {"tiers", "demotion"}
    assert result.exit_code in (0, 1, 2)
