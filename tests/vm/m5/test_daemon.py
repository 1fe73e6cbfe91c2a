"""The daemon in a real guest: what it moves, what it leaves alone, what it gives back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, run_json
from tests.vm.m5.conftest import NUMA_BALANCING_OFF, NUMA_BALANCING_ON
from tests.vm.m5.loaded_modules import load_missing, unload_present

SCENARIO = "tests/vm/m5/in_guest/hot_and_cold.py"
HOT = 6_000
FAST, SLOW = "0", "1"
MOST_S = "60"
# An emulated CPU does far fewer reads a second of wall time than a real one.
PATIENT = ("elector.payback_s=3600", "elector.first_payback_s=3600")


def run(guest: Guest, *arguments: str) -> Any:
    return run_json(guest, SCENARIO, *arguments, timeout_s=540)


def promoted(seen: Any) -> int:
    return int(seen["after"]["hot"].get(FAST, 0))


@pytest.fixture(scope="module")
def default_run(tracked: Guest) -> Any:
    """One run from slow memory until it has settled, with a probe beside it."""
    return run(tracked, MOST_S, *PATIENT, "--explain", "--probes")


def test_hot_pages_go_up_and_cold_pages_stay(default_run: Any) -> None:
    assert default_run["before"]["hot"] == {SLOW: HOT}
    assert promoted(default_run) >= 0.8 * HOT, default_run["status"]
    cold = default_run["after"]["cold"]
    assert cold.get(FAST, 0) <= 0.02 * sum(cold.values())


def test_moves_are_counted_as_they_happened(default_run: Any) -> None:
    totals = default_run["status"]["totals"]
    assert totals["moved_pages"] >= promoted(default_run)
    assert totals["results"]["moved"] <= totals["moved_pages"]
    name = "tiermem_m5_promoted_pages_total"
    line = next(line for line in default_run["metrics"].splitlines() if line.startswith(name))
    assert float(line.split()[1]) == totals["moved_pages"]


def test_it_explains_where_the_memory_lies_and_why(default_run: Any) -> None:
    explained = default_run["explained"]
    assert explained["bytes_by_node"][FAST] >= 0.8 * HOT * 4096
    assert explained["outside"] == ""


def test_it_explains_pages_that_lie_in_slow_memory_and_not_those_that_left(
    default_run: Any,
) -> None:
    """Their frames have others' pages by now, most of which nobody reads."""
    explained = default_run["explained_again"]
    assert explained["pages"]
    assert set(default_run["explained_on"]) == {int(SLOW)}
    assert "moved" not in explained["results"], explained["results"]
    assert explained["pages_considered"] < HOT / 2, explained["verdicts"]


def test_sigterm_leaves_the_system_as_it_was_found(default_run: Any) -> None:
    assert default_run["switches_while"] != default_run["switches_before"]
    assert default_run["switches_after"] == default_run["switches_before"]
    assert default_run["exit"] == 0
    assert not default_run["socket_left"]


def test_nothing_went_wrong_meanwhile(default_run: Any) -> None:
    assert "ERROR" not in default_run["log"], default_run["log"]
    assert "Traceback" not in default_run["log"], default_run["log"]
    assert default_run["status"]["warnings"] == []


def test_a_probe_beside_it_counts_the_same_moves(default_run: Any) -> None:
    assert default_run["probed_pages"] == default_run["status"]["totals"]["moved_pages"]


def test_a_dry_run_decides_and_moves_nothing(tracked: Guest) -> None:
    # Else the kernel itself moves what is read to the node that reads it.
    tracked.check(["sh", "-c", NUMA_BALANCING_OFF])
    try:
        seen = run(tracked, "6", *PATIENT, "dry_run=true")
    finally:
        tracked.check(["sh", "-c", NUMA_BALANCING_ON])
    assert seen["status"]["totals"]["verdicts"]["promote"] > 0
    assert seen["after"] == seen["before"]
    assert seen["switches_while"] == seen["switches_before"]


def test_killed_and_started_again_it_gives_back_what_it_first_found(tracked: Guest) -> None:
    seen = run(tracked, MOST_S, *PATIENT, "--kill", "--until", "0.6")
    assert seen["switches_killed"] != seen["switches_before"]
    assert seen["switches_after"] == seen["switches_before"]
    assert seen["device_after"] == seen["device_before"]
    assert promoted(seen) >= 0.5 * HOT


def test_killed_with_damon_it_takes_its_own_kdamond_away_and_tracks_again(tracked: Guest) -> None:
    seen = run(tracked, "2", *PATIENT, "--kill", "tracker.kind=damon")
    assert seen["status"]["tracker"] == {"name": "damon", "trouble": ""}
    assert seen["switches_after"] == seen["switches_before"]
    left = tracked.check(["cat", "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"])
    assert left.stdout.strip() == "0"


def test_without_the_promoter_module_pages_move_by_address(tracked: Guest) -> None:
    unload_present(tracked, "tiermem_promote")
    try:
        seen = run(tracked, MOST_S, *PATIENT, "--until", "0.6")
    finally:
        load_missing(tracked)
    assert seen["status"]["promoter"]["name"] == "move-pages"
    assert promoted(seen) >= 0.5 * HOT, seen["status"]


def test_without_a_device_damon_finds_the_hot_pages(tracked: Guest) -> None:
    unload_present(tracked)
    try:
        # DAMON sees regions: hot pages strewn among cold ones are beyond it.
        how = ("--together", "--until", "0.3", "tracker.kind=damon")
        seen = run(tracked, "110", *PATIENT, *how)
    finally:
        load_missing(tracked)
    assert seen["status"]["tracker"]["name"] == "damon"
    assert seen["status"]["unavailable"] == []
    assert promoted(seen) > 0.2 * HOT, json.dumps(seen["status"])
    left = tracked.check(["cat", "/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds"])
    assert left.stdout.strip() == "0"


def test_without_a_device_it_says_what_is_missing(guest: Guest) -> None:
    done = guest.exec(
        ["tiermem", "m5", "run", "--set", "tracker.device=/dev/absent"],
        env=ENVIRONMENT,
        timeout_s=300,
    )
    assert done.status == 3
    told = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
    assert len(told) == 1
    assert "/dev/absent" in told[0]


def test_its_cpu_share_is_below_one_percent(icount_guest: Guest) -> None:
    load_missing(icount_guest)
    try:
        seen = run(icount_guest, "8")
    finally:
        unload_present(icount_guest)
    assert promoted(seen) >= 0.8 * HOT, json.dumps(seen["status"])
    assert seen["cpu_share"] < 0.01
