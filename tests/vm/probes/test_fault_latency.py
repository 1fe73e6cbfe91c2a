"""The probe fault-latency against a known number of first touches on each node."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Reports, report_of

TOUCHED = 600
OTHERS = 150  # faults of the rest of the system meanwhile, all on the DRAM node


@pytest.fixture
def report(reports: Reports) -> dict[str, Any]:
    return report_of(reports, "fault_latency")


def faults_on(seen: dict[str, Any], node: int | None) -> int:
    return sum(row["count"] for row in seen["by_node"] if row["node"] == node)


def test_first_touches_are_counted_on_the_node_they_land_on(report: dict[str, Any]) -> None:
    assert TOUCHED <= faults_on(report["node0"], 0) <= TOUCHED + OTHERS
    assert faults_on(report["node0"], 1) == 0
    assert faults_on(report["node1"], 1) == TOUCHED
    assert faults_on(report["node1"], 0) <= OTHERS


def test_a_second_touch_is_no_fault(report: dict[str, Any]) -> None:
    assert faults_on(report["node1 again"], 1) == 0
    assert faults_on(report["node0 again"], 0) <= OTHERS


def test_a_fault_takes_time(report: dict[str, Any]) -> None:
    (row,) = [row for row in report["node1"]["by_node"] if row["node"] == 1]
    assert 100 < row["p50_ns"] <= row["p99_ns"]
    assert row["total_ns"] >= row["count"] * 100
