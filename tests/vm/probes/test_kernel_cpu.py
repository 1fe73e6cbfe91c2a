"""The probe kernel-cpu against the scheduler's own accounting."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Reports, report_of

TICK_NS = 10_000_000  # the unit of /proc/PID/stat; the scheduler charges at least as often


@pytest.fixture
def report(reports: Reports) -> dict[str, Any]:
    return report_of(reports, "kernel_cpu")


def cells(seen: dict[str, Any], who: str) -> dict[str, dict[str, Any]]:
    return {cell["activity"]: cell for cell in seen["cells"] if cell["who"] == who}


def test_a_thread_that_starts_later_is_charged_what_the_scheduler_charges(
    report: dict[str, Any],
) -> None:
    kdamond = report["kdamond"]
    assert kdamond["listed"]
    seen_ns = sum(cell["ns"] for cell in cells(kdamond["seen"], "kdamond").values())
    assert seen_ns > 1_000_000
    at_least, at_most = kdamond["scheduler_ns"]
    assert at_least <= seen_ns <= at_most
    assert seen_ns <= kdamond["stat_ns"] + 2 * TICK_NS


def test_a_thread_that_has_ended_keeps_what_it_was_charged(report: dict[str, Any]) -> None:
    ended = report["kdamond"]["ended"]
    seen_ns = sum(cell["ns"] for cell in cells(ended["seen"], "kdamond").values())
    at_least, at_most = ended["scheduler_ns"]
    assert at_least - TICK_NS <= seen_ns <= at_most + TICK_NS


def test_khugepaged_has_a_row_when_it_works(report: dict[str, Any]) -> None:
    khugepaged = report["khugepaged"]
    seen_ns = sum(cell["ns"] for cell in cells(khugepaged["seen"], "khugepaged").values())
    at_least, at_most = khugepaged["scheduler_ns"]
    assert 0 < at_least <= seen_ns <= at_most


def test_migration_in_a_process_is_charged_once_a_call(report: dict[str, Any]) -> None:
    process = report["process"]
    migration = cells(process["seen"], "process")["migration"]
    assert migration["times"] == process["calls"]
    assert 0 < migration["ns"] < process["own_ns"]
    assert migration["ns"] > 0.2 * process["own_ns"]


def test_no_time_is_in_two_cells(report: dict[str, Any]) -> None:
    process = report["process"]
    assert (
        sum(cell["ns"] for cell in cells(process["seen"], "process").values()) < (process["own_ns"])
    )


def test_a_process_set_apart_has_its_own_row_and_no_part_in_the_total(
    report: dict[str, Any],
) -> None:
    apart = report["apart"]
    migration = cells(apart["seen"], "apart")["migration"]
    assert migration["times"] == apart["calls"]
    assert "migration" not in cells(apart["seen"], "process")
    others = [cell["ns"] for cell in apart["seen"]["cells"] if cell["who"] != "apart"]
    assert apart["seen"]["total_ns"] == sum(others)


def test_the_threads_that_were_there_already_are_known(report: dict[str, Any]) -> None:
    assert {"kswapd", "kcompactd"} <= set(report["threads"])
