"""`run --once` beside a service, after a killed one, and on a host that has had neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import TiermemError
from tiermem.layer.sysfs import Tree
from tiermem.m5.daemon import Daemon
from tiermem.m5.settings import M5Settings
from tiermem.m5.switches import DAMON_STAT, NUMA_BALANCING, Switches
from tiermem.m5.try_once import try_once
from tiermem.service.socket_file import claim

from tests.unit.m5.daemons import saved, settings
from tests.unit.m5.damon_tree import with_damon
from tests.unit.m5.trees import write

ELECTOR = {"base_hz": 100, "max_hz": 100}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiermem.m5.try_once.time.sleep", lambda seconds: None)


def trial(root: Path, **changes: Any) -> M5Settings:
    return settings(root, dry_run=True, elector=ELECTOR, **changes)


def host(root: Path) -> Tree:
    tree, _ = with_damon(root)
    write(tree.sysfs / "module/damon_stat/parameters/enabled", "Y\n")
    return tree


def killed_daemon(root: Path, tree: Tree) -> None:
    """Switches set and noted, and nobody left to give them back."""
    daemon = Daemon(settings(root), tree)
    daemon.switches.set(NUMA_BALANCING, "0")


def test_it_makes_as_many_rounds_as_a_verdict_needs(tmp_path: Path) -> None:
    assert try_once(trial(tmp_path), host(tmp_path))["totals"]["rounds"] == 3


def test_beside_a_running_daemon_it_refuses_and_touches_nothing(tmp_path: Path) -> None:
    tree = host(tmp_path)
    claim(tmp_path / "m5.sock")  # held until this process ends, as a service would
    killed_daemon(tmp_path, tree)
    before = (tmp_path / "m5.json").read_bytes()
    with pytest.raises(TiermemError, match=r"a daemon is running here: `tiermem m5 status`"):
        try_once(trial(tmp_path), tree)
    assert Switches(tree).read(NUMA_BALANCING) == "0"
    assert (tmp_path / "m5.json").read_bytes() == before


def test_while_it_runs_no_service_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_another(seconds: float) -> None:
        with pytest.raises(TiermemError, match="another daemon"):
            claim(tmp_path / "m5.sock")

    monkeypatch.setattr("tiermem.m5.try_once.time.sleep", start_another)
    try_once(trial(tmp_path), host(tmp_path))


def test_a_dry_run_leaves_what_a_killed_daemon_has_to_give_back(tmp_path: Path) -> None:
    tree = host(tmp_path)
    killed_daemon(tmp_path, tree)
    before = (tmp_path / "m5.json").read_bytes()
    try_once(trial(tmp_path), tree)
    assert Switches(tree).read(NUMA_BALANCING) == "0"
    assert saved(tmp_path).switches_found == {NUMA_BALANCING: "1"}
    assert (tmp_path / "m5.json").read_bytes() == before


def test_a_dry_service_leaves_it_too(tmp_path: Path) -> None:
    tree = host(tmp_path)
    killed_daemon(tmp_path, tree)
    daemon = Daemon(settings(tmp_path, dry_run=True), tree)
    daemon.start()
    daemon.stop()
    assert saved(tmp_path).switches_found == {NUMA_BALANCING: "1"}
    assert Switches(tree).read(NUMA_BALANCING) == "0"


def test_a_dry_run_leaves_no_state_and_gives_damon_s_statistics_back(tmp_path: Path) -> None:
    tree = host(tmp_path)
    try_once(trial(tmp_path), tree)
    assert not (tmp_path / "m5.json").exists()
    assert Switches(tree).read(DAMON_STAT) == "Y"


def test_what_a_dry_run_must_give_back_is_on_disk_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, str]] = []
    monkeypatch.setattr(
        "tiermem.m5.try_once.time.sleep",
        lambda seconds: found.append(saved(tmp_path).switches_found),
    )
    try_once(trial(tmp_path), host(tmp_path))
    assert found[0] == {DAMON_STAT: "Y"}


def test_without_dry_run_it_sets_the_switches_and_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = host(tmp_path)
    seen: list[str | None] = []
    monkeypatch.setattr(
        "tiermem.m5.try_once.time.sleep",
        lambda seconds: seen.append(Switches(tree).read(NUMA_BALANCING)),
    )
    try_once(settings(tmp_path, elector=ELECTOR), tree)
    assert seen[0] == "0"
    assert Switches(tree).read(NUMA_BALANCING) == "1"
