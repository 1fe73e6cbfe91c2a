"""The probe migration against migrations of known number, reason and direction."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Reports, report_of

Observed = dict[str, Any]


@pytest.fixture
def report(reports: Reports) -> dict[str, Any]:
    return report_of(reports, "migration")


def pages(observed: Observed, field: str, reason: str | None = None) -> int:
    return sum(
        outcome[field]
        for outcome in observed["seen"]["outcomes"]
        if reason in (None, outcome["reason"])
    )


def between(observed: Observed, from_node: int, to_node: int) -> int:
    return sum(
        move["pages"]
        for move in observed["seen"]["moves"]
        if (move["from_node"], move["to_node"]) == (from_node, to_node)
    )


def test_every_page_moved_by_a_system_call_is_counted_with_its_direction(
    report: dict[str, Any],
) -> None:
    assert report["down"]["result"] == [1] * 200
    assert pages(report["down"], "moved_pages", "syscall_or_cpuset") == 200
    assert between(report["down"], 0, 1) == 200
    assert report["up"]["result"] == [0] * 70
    assert pages(report["up"], "moved_pages", "syscall_or_cpuset") == 70
    assert between(report["up"], 1, 0) == 70


def test_a_policy_that_moves_pages_has_a_reason_of_its_own(report: dict[str, Any]) -> None:
    assert pages(report["mbind"], "moved_pages", "mempolicy_mbind") == 48
    assert between(report["mbind"], 0, 1) == 48


def test_a_huge_page_counts_all_its_base_pages(report: dict[str, Any]) -> None:
    assert report["huge"]["result"] == [1]
    assert between(report["huge"], 0, 1) == 512
    assert pages(report["huge"], "moved_thps") == 1


def via_the_promoter(observed: Observed) -> int:
    return sum(
        outcome["moved_pages"]
        for outcome in observed["seen"]["outcomes"]
        if outcome["via"] == "tiermem_promote"
    )


def test_the_promoter_module_is_told_from_the_kernel(report: dict[str, Any]) -> None:
    assert report["promoter"]["result"] == via_the_promoter(report["promoter"]) == 60
    assert between(report["promoter"], 1, 0) == 60
    assert via_the_promoter(report["down"]) == 0


def test_a_module_that_was_unloaded_keeps_its_migrations(report: dict[str, Any]) -> None:
    assert via_the_promoter(report["promoter, unloaded"]) == 60


def test_pages_that_are_held_are_counted_as_failed(report: dict[str, Any]) -> None:
    assert report["pinned"]["result"] == [0] * 8 + [1] * 8
    assert pages(report["pinned"], "moved_pages") == 8
    assert pages(report["pinned"], "failed_pages") == 8


@pytest.mark.parametrize("case", ["down", "up", "mbind", "huge", "promoter", "pinned"])
def test_the_kernels_own_counters_agree(report: dict[str, Any], case: str) -> None:
    kernel = report[case]["kernel"]
    assert pages(report[case], "moved_pages") == kernel["pgmigrate_success"]
    assert pages(report[case], "failed_pages") == kernel["pgmigrate_fail"]


def test_every_call_has_a_latency(report: dict[str, Any]) -> None:
    for case in ("down", "up", "mbind"):
        counted = sum(row["count"] for row in report[case]["seen"]["latencies"])
        assert counted == pages(report[case], "calls") > 0
        assert all(row["total_ns"] > 0 for row in report[case]["seen"]["latencies"])


def test_nothing_is_missing_on_the_supported_kernels(report: dict[str, Any]) -> None:
    assert report["missing"] == []
