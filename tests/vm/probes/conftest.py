"""One run of all scenarios in a guest of each kernel; the tests judge what it reports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tiermem.testbed.guest_python import SOURCE, python_environment

FOLDER = f"{SOURCE}/tests/vm/probes"
QUESTIONS = ("migration", "fault_latency", "hint_faults", "kernel_cpu")
Reports = dict[str, dict[str, Any]]


@pytest.fixture(scope="session", params=["guest", "guest_lts"])
def reports(request: pytest.FixtureRequest) -> Reports:
    guest = request.getfixturevalue(request.param)
    done = guest.check(
        ["python3", f"{FOLDER}/scenarios.py", *QUESTIONS],
        timeout_s=800,
        env=python_environment(FOLDER),
    )
    reports: Reports = {}
    for line in done.stdout.splitlines():
        reports.update(json.loads(line))
    return reports


def report_of(reports: Reports, question: str) -> dict[str, Any]:
    report = reports[question]
    assert "error" not in report, report["error"]
    return report
