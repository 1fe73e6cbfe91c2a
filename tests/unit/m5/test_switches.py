"""The kernel's switches: changed, remembered, given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.m5.switches import DEMOTION, NUMA_BALANCING, Switches

from tests.unit.m5.trees import make_tree


def test_what_was_found_is_given_back(tmp_path: Path) -> None:
    switches = Switches(make_tree(tmp_path))
    switches.set(NUMA_BALANCING, "0")
    switches.set(DEMOTION, "1")
    assert (switches.read(NUMA_BALANCING), switches.read(DEMOTION)) == ("0", "1")
    switches.restore()
    assert (switches.read(NUMA_BALANCING), switches.read(DEMOTION)) == ("1", "false")


def test_it_is_remembered_before_it_is_changed(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    switches = Switches(tree)
    at_that_moment: list[tuple[dict[str, str], str | None]] = []
    switches.remember = lambda: at_that_moment.append(
        (dict(switches.found), Switches(tree).read(NUMA_BALANCING))
    )
    switches.set(NUMA_BALANCING, "0")
    assert at_that_moment == [({NUMA_BALANCING: "1"}, "1")]


def test_after_a_kill_the_next_run_gives_back_what_the_first_found(tmp_path: Path) -> None:
    tree = make_tree(tmp_path)
    killed = Switches(tree)
    killed.set(NUMA_BALANCING, "0")
    again = Switches(tree, dict(killed.found), dict(killed.ours))
    again.set(NUMA_BALANCING, "0")
    again.restore()
    assert again.read(NUMA_BALANCING) == "1"


def test_what_somebody_else_changed_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree = make_tree(tmp_path)
    switches = Switches(tree)
    switches.set(NUMA_BALANCING, "0")
    (tree.proc / "sys/kernel/numa_balancing").write_text("2\n")
    switches.restore()
    assert switches.read(NUMA_BALANCING) == "2"
    assert "changed" in caplog.text


def test_a_switch_that_is_right_already_or_absent_is_not_touched(tmp_path: Path) -> None:
    switches = Switches(make_tree(tmp_path))
    switches.set(NUMA_BALANCING, "1")
    switches.set("/sys/kernel/mm/absent", "1")
    assert switches.found == {}


def test_what_the_kernel_makes_of_a_value_is_remembered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switches = Switches(make_tree(tmp_path))
    on_disk: dict[str, str] = {}
    switches.remember = lambda: on_disk.update(switches.ours)
    monkeypatch.setattr(
        switches, "_write", lambda switch, value: switches._path(switch).write_text("true\n")
    )
    switches.set(DEMOTION, "1")
    assert on_disk == {DEMOTION: "true"}
