"""The daemon over a pretend host: start, loss of its tracker, what a kill leaves, the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tiermem.errors import TiermemError
from tiermem.layer.sysfs import Tree
from tiermem.m5.daemon import Daemon
from tiermem.m5.switches import DEMOTION, NUMA_BALANCING, WATERMARK_SCALE, Switches

from tests.unit.m5.daemons import saved, settings
from tests.unit.m5.damon_tree import with_damon
from tests.unit.m5.trees import write

BOOT_ID = "sys/kernel/random/boot_id"


def values(tree: Tree) -> list[str | None]:
    return [Switches(tree).read(one) for one in (NUMA_BALANCING, DEMOTION, WATERMARK_SCALE)]


def test_it_leaves_the_host_as_it_found_it(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    daemon = Daemon(settings(tmp_path), tree)
    daemon.start()
    assert values(tree) == ["0", "1", "100"]
    daemon.step()
    daemon.stop()
    assert values(tree) == ["1", "false", "10"]
    assert (admin / "nr_kdamonds").read_text() == "0"
    assert saved(tmp_path).totals["rounds"] == 1
    assert not any(saved(tmp_path).to_give_back().values())


def test_told_to_keep_the_switches_it_keeps_them_for_good(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    daemon = Daemon(settings(tmp_path, kernel={"keep_at_exit": True}), tree)
    daemon.start()
    daemon.stop()
    assert values(tree) == ["0", "1", "100"]
    assert saved(tmp_path).switches_found == {}
    assert (admin / "nr_kdamonds").read_text() == "0"


def test_a_start_that_fails_leaves_nothing_set(tmp_path: Path) -> None:
    tree, _ = with_damon(tmp_path, kdamonds=2)
    with pytest.raises(TiermemError, match="in use by another program"):
        Daemon(settings(tmp_path), tree).start()
    assert values(tree) == ["1", "false", "10"]


def test_it_loses_its_tracker_and_gets_it_back(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    daemon = Daemon(settings(tmp_path), tree)
    daemon.start()
    away = admin.with_name("away")
    admin.rename(away)
    assert daemon.step() == 2.0
    assert "kdamonds" in daemon.tracker_trouble
    assert daemon.engine.rounds.totals.tracker_failures == 1
    assert daemon.step() == 2.0  # tried again, in vain
    assert daemon.engine.rounds.totals.tracker_failures == 1
    away.rename(admin)
    daemon.step()
    assert daemon.tracker_trouble == ""
    assert daemon.engine.rounds.totals.rounds == 1
    assert values(tree)[0] == "0"  # the switches stayed as they were meanwhile


def test_after_a_kill_the_next_run_tracks_and_gives_everything_back(tmp_path: Path) -> None:
    tree, admin = with_damon(tmp_path)
    write(tree.proc / BOOT_ID, "first\n")
    Daemon(settings(tmp_path), tree).start()  # and never stopped
    assert saved(tmp_path).tracker_found == {"damon": True}
    again = Daemon(settings(tmp_path), tree)
    again.start()
    again.step()
    again.stop()
    assert values(tree) == ["1", "false", "10"]
    assert (admin / "nr_kdamonds").read_text() == "0"


def test_what_a_killed_run_found_before_the_host_booted_anew_is_of_no_use(tmp_path: Path) -> None:
    tree, _ = with_damon(tmp_path)
    write(tree.proc / BOOT_ID, "first\n")
    Daemon(settings(tmp_path), tree).start()
    fresh, admin = with_damon(tmp_path, kdamonds=1)  # somebody else's
    write(tree.proc / BOOT_ID, "second\n")
    write(tree.proc / "sys/kernel/numa_balancing", "2\n")
    daemon = Daemon(settings(tmp_path), fresh)
    with pytest.raises(TiermemError, match="in use by another program"):
        daemon.start()
    (admin / "nr_kdamonds").write_text("0\n")
    daemon = Daemon(settings(tmp_path), fresh)
    daemon.start()
    daemon.stop()
    assert values(tree)[0] == "2"


def test_it_says_who_else_moves_pages_and_when_they_stop(tmp_path: Path) -> None:
    tree, _ = with_damon(tmp_path)
    daemon = Daemon(settings(tmp_path, kernel={"numa_balancing": "leave"}), tree)
    daemon.start()
    assert [line.split(" is ")[0] for line in daemon.warnings] == ["kernel.numa_balancing"]
    write(tree.proc / "sys/kernel/numa_balancing", "0\n")
    daemon._next_check_ns = 0
    daemon.step()
    assert daemon.warnings == []


def test_a_policy_in_a_hurry_leaves_the_api_its_turn(tmp_path: Path) -> None:
    tree, _ = with_damon(tmp_path)
    daemon = Daemon(settings(tmp_path), tree)
    turns: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().call_soon(turns.append, "an answer")
        await daemon._pause(0.0)

    asyncio.run(main())
    assert turns == ["an answer"]


def test_rounds_are_recorded_one_to_a_line(tmp_path: Path) -> None:
    tree, _ = with_damon(tmp_path)
    record = tmp_path / "rounds.jsonl"
    daemon = Daemon(settings(tmp_path, record=str(record)), tree)
    daemon.start()
    daemon.step()
    daemon.step()
    assert len(record.read_text().splitlines()) == 2
    daemon.stop()
