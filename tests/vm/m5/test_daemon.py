"""The daemon in a real guest: what it moves, what it leaves alone, what it gives back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, run_json
from tests.vm.m5.loaded_modules import load_missing, unload_present

SCENARIO = "tests/vm/m5/in_guest/hot_and_cold.py"
HOT = 6_000
FAST, SLOW = "0", "1"
MOST_S = "300"
# An emulated CPU does far fewer reads a second of wall time than a real one.
PATIENT = ("elector.payback_s=3600", "elector.first_payback_s=3600")


def run(guest: Guest, *arguments: str) -> Any:
    return run_json(guest, SCENARIO, *arguments, timeout_s=840)


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


def test_a_dry_run_decides_and_moves_nothing(default_run: Any) -> None:
    totals = default_run["dry_status"]["totals"]
    assert totals["verdicts"]["promote"] > 0
    assert totals["moved_pages"] == 0
    assert default_run["dry_nodes"] == default_run["before"]
    assert not default_run["dry_changed_switches"]


@pytest.fixture(scope="module")
def killed_run(tracked: Guest) -> Iterator[Any]:
    """The daemon is killed, the promoter's module goes away, and the daemon is started again."""
    how = ("--kill", "--without", "tiermem_promote", "--until", "0.6")
    try:
        yield run(tracked, MOST_S, *PATIENT, *how)
    finally:
        load_missing(tracked)


def test_killed_and_started_again_it_gives_back_what_it_first_found(killed_run: Any) -> None:
    assert killed_run["switches_killed"] != killed_run["switches_before"]
    assert killed_run["switches_after"] == killed_run["switches_before"]
    assert killed_run["device_after"] == killed_run["device_before"]


def test_without_the_promoter_module_pages_move_by_address(killed_run: Any) -> None:
    status = killed_run["status"]
    assert status["promoter"]["name"] == "move-pages"
    assert promoted(killed_run) >= 0.5 * HOT, status


@pytest.fixture(scope="module")
def damon_run(tracked: Guest) -> Iterator[Any]:
    """DAMON on a host without the device; the daemon is killed and started again."""
    unload_present(tracked)
    # DAMON sees regions: hot pages strewn among cold ones are beyond it.
    how = ("--together", "--kill", "--until", "0.3", "tracker.kind=damon")
    try:
        yield run(tracked, MOST_S, *PATIENT, *how)
    finally:
        load_missing(tracked)


def test_without_a_device_damon_finds_the_hot_pages(damon_run: Any) -> None:
    assert damon_run["status"]["unavailable"] == []
    assert promoted(damon_run) > 0.2 * HOT, json.dumps(damon_run["status"])


def test_killed_with_damon_it_takes_its_own_kdamond_away_and_tracks_again(
    damon_run: Any, tracked: Guest
) -> None:
    assert damon_run["status"]["tracker"] == {"name": "damon", "trouble": ""}
    assert damon_run["switches_after"] == damon_run["switches_before"]
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
