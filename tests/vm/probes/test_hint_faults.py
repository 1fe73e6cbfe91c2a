"""The probe hint-faults against the kernel's own counters."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Reports, report_of


@pytest.fixture
def report(reports: Reports) -> dict[str, Any]:
    return report_of(reports, "hint_faults")


def test_faults_are_those_that_the_kernel_counts(report: dict[str, Any]) -> None:
    counted = report["kernel"]["numa_hint_faults"]
    assert counted > 1000
    assert report["seen"]["faults"] == pytest.approx(counted, rel=0.01)


def test_moved_pages_are_those_that_the_kernel_counts(report: dict[str, Any]) -> None:
    moved = [row for row in report["seen"]["by_node"] if row["outcome"] == "moved"]
    assert {row["node"] for row in moved} <= {0}
    migrated = report["kernel"]["numa_pages_migrated"]
    assert sum(row["pages"] for row in moved) == pytest.approx(migrated, rel=0.01)
    assert migrated > 0


def test_every_fault_has_a_latency(report: dict[str, Any]) -> None:
    seen = report["seen"]
    counted = sum(row["count"] for row in seen["latencies"].values())
    assert counted == sum(row["faults"] for row in seen["by_node"])
    assert seen["total_ns"] == sum(row["total_ns"] for row in seen["latencies"].values())


def test_a_fault_that_moves_its_page_takes_the_time_of_a_migration(report: dict[str, Any]) -> None:
    assert report["seen"]["latencies"]["moved"]["p50_ns"] > 1000
    assert report["seen"]["total_ns"] < report["elapsed_ns"]
