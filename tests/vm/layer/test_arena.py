"""Arenas of real CXL memory: where the pages lie, what is refused, what a killed process leaves."""

from __future__ import annotations

from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import run_json

MIB = 1 << 20
SIZE = 32 * MIB + 5


@pytest.fixture(scope="module")
def seen(guest: Guest) -> dict[str, Any]:
    """What in_guest/arenas.py saw."""
    seen: dict[str, Any] = run_json(guest, "tests/vm/layer/in_guest/arenas.py")
    return seen


def test_every_page_lies_on_the_cxl_node_and_none_beyond(seen: dict[str, Any]) -> None:
    killed = seen["killed"]
    assert killed["nodes"] == {str(seen["slow"]): SIZE // 4096 + 1}
    assert killed["beyond"][0] < 0


def test_it_is_in_huge_pages_but_for_its_tail(seen: dict[str, Any]) -> None:
    assert seen["killed"]["huge"] == 32 * MIB


def test_the_list_has_it_and_after_a_kill_it_is_swept(seen: dict[str, Any]) -> None:
    killed = seen["killed"]
    (listed,) = killed["listed"]
    assert listed["pid"] == killed["pid"]
    assert killed["where"] == [f"tier 1, the slowest (nodes {seen['slow']})"]
    described = listed["description"]
    assert (described["tier"], described["tiers"]) == (1, 2)
    assert (described["bytes"], described["nodes"]) == (SIZE, [seen["slow"]])
    assert listed["usage"]["used_bytes"] == 3 * MIB
    assert killed["huge_from_outside"] == killed["huge"]
    assert (killed["files_left"], killed["listed_after"], killed["files_swept"]) == (1, 0, 0)


def test_more_than_the_node_has_is_refused_and_nobody_killed(
    guest: Guest, seen: dict[str, Any]
) -> None:
    full = seen["full"]
    assert full["room"] > 256 * MIB
    assert full["left"] < full["room"] // 8 * 7
    assert f"nodes [{seen['slow']}]: {full['room'] // 8 * 7} bytes are wanted" in full["refused"]
    assert full["listed"] == 1
    assert full["taken"] >= full["most"] > full["room"] * 0.9
    assert full["huge"] > full["most"] // 2
    assert "oom-kill" not in guest.check(["dmesg"]).stdout


def test_so_is_more_than_a_control_group_may_take(seen: dict[str, Any]) -> None:
    group = seen["group"]
    assert f"{256 * MIB} bytes are wanted, there is room for" in group["refused"]
    assert group["events"]["oom_kill"] == "0"
