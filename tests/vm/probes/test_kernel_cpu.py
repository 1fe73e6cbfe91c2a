"""The probe kernel-cpu against the scheduler's own accounting."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Reports, report_of

SLICE_NS = 4_000_000  # what either side may not yet have charged
TICK_NS = 10_000_000  # the unit of /proc/PID/stat


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
    # Seen 12 to 17 % low, for a reason not found (docs/probes.md).
    assert 0.8 * at_least <= seen_ns <= 1.03 * at_most + SLICE_NS
    assert seen_ns <= kdamond["stat_ns"] + 2 * TICK_NS


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
