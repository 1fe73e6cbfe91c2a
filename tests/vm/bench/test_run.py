"""One small run of each kind inside a guest: what the benchmark relies on does hold there."""

from __future__ import annotations

import dataclasses

import pytest
from tiermem.testbed import Guest
from tiermem.testbed.progress import Progress

from bench.accuracy import access_count_ratio
from bench.catalog import M5, POLICIES, PROGRAMS, WORKLOADS, run_spec
from bench.guest.spec import IDENTIFY, MEASURE, RunSpec, Units
from bench.programs import build_programs
from bench.session import Measured, Session


@pytest.fixture(scope="module")
def opened(icount_guest: Guest) -> Session:
    """The shared guest, as the benchmark prepares it."""
    build_programs(icount_guest.out_dir, Progress(quiet=True))
    session = Session(icount_guest, icount_guest.out_dir)
    session.prepare()
    return session


def small(opened: Session, policy: str, purpose: str = MEASURE) -> RunSpec:
    """The hot set workload, larger than what is free of DRAM, but with little work."""
    free = opened.guest.check(
        ["awk", "/MemFree/ {print $4}", "/sys/devices/system/node/node0/meminfo"]
    )
    megabytes = int(free.stdout) // 1024 + 64
    spec = run_spec(WORKLOADS["hotset"], POLICIES[policy], 1, "quick", purpose)
    program = (f"{PROGRAMS}/hotset", f"megabytes={megabytes}", "seed=1")
    units = Units(100_000, 10_000, 200_000)
    if purpose == IDENTIFY:
        # Long enough for several rounds of the daemon.
        units = Units(2_000_000, 10_000, 8_000_000)
    return dataclasses.replace(spec, program=program, units=units)


@pytest.fixture(scope="module")
def plain(opened: Session) -> Measured:
    """A run with no policy."""
    return opened.run(small(opened, "none"))


def test_the_footprint_lies_in_both_tiers_and_both_are_read(plain: Measured) -> None:
    result = plain.result
    assert min(result.placement["start"]["0"], result.placement["start"]["1"]) > 0
    fast, slow = result.phases["measure"]["reads"]
    assert fast > 0
    assert slow > 0


def test_modelled_time_is_instructions_and_stalls(plain: Measured) -> None:
    measured = plain.result.phases["measure"]
    assert measured["armed"]
    stalls_only = measured["modelled_ns"] - measured["instructions"] // 4
    assert stalls_only == pytest.approx(measured["stall_ns"], rel=0.02)
    # Under icount, one ns of guest time is one instruction.
    assert measured["guest_ns"] == pytest.approx(measured["instructions"], rel=0.02)


def test_without_a_policy_nothing_moves(plain: Measured) -> None:
    assert (plain.result.pages_up, plain.result.pages_down) == (0, 0)
    assert plain.result.placement["end"] == plain.result.placement["start"]


def test_m5_names_hot_pages_in_a_dry_run_and_moves_none(opened: Session) -> None:
    judged = opened.run(small(opened, M5, IDENTIFY), with_pac=True)
    result = judged.result
    assert judged.pac is not None
    # The program's own stack and libraries may touch a few pages more meanwhile.
    for node, pages in result.placement["initial"].items():
        assert result.placement["end"][node] == pytest.approx(pages, abs=64)
    ratio = access_count_ratio(
        result.hot_pfns, judged.pac, result.notes["slow_first_frame"], result.notes["slow_pages"]
    )
    # A tenth of the reads go anywhere; picking at random would give about 0.2.
    assert ratio is not None
    assert ratio > 0.72


def test_the_guest_is_left_as_it_was(opened: Session, plain: Measured) -> None:
    switches = "cat /proc/sys/kernel/numa_balancing /sys/kernel/mm/numa/demotion_enabled"
    assert opened.guest.check(["sh", "-c", switches]).stdout.split() in (["0", "0"], ["0", "false"])
    assert opened.guest.exec(["pgrep", "-x", "hotset"]).status == 1
