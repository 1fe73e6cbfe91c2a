"""Pages of real processes between DRAM and CXL memory, each result against numa_maps."""

from __future__ import annotations

from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import run_json

IN_GUEST = "tests/vm/layer/in_guest"
PAGES = 3000
UNTOUCHED = 8
DUPLICATES = 5


@pytest.fixture(scope="module", params=["guest", "guest_lts"])
def seen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What in_guest/move_real_process.py saw, on the newest kernel and on 6.12."""
    guest: Guest = request.getfixturevalue(request.param)
    seen: dict[str, Any] = run_json(guest, f"{IN_GUEST}/move_real_process.py")
    return seen


@pytest.fixture(scope="module")
def awkward(guest: Guest) -> dict[str, Any]:
    """What in_guest/move_awkward_pages.py saw."""
    arguments = ("pinned", "shared", "huge")
    seen: dict[str, Any] = run_json(guest, f"{IN_GUEST}/move_awkward_pages.py", *arguments)
    return seen


def test_bound_memory_is_born_on_its_node(seen: dict[str, Any]) -> None:
    assert seen["born"] == {str(seen["slow"]): PAGES}
    assert seen["born_queried"] == {str(seen["slow"]): PAGES, "-2": UNTOUCHED}
    assert seen["frame_nodes"] == {str(seen["slow"]): PAGES}


def test_frames_lead_to_their_owner_and_back(seen: dict[str, Any]) -> None:
    assert seen["round_trip"]
    assert seen["owner_pids_right"]
    assert seen["stale_owners_left"] == 0, "after the move, no old frame is still theirs"


def test_every_result_agrees_with_numa_maps(seen: dict[str, Any]) -> None:
    fast, slow = str(seen["fast"]), str(seen["slow"])
    assert seen["half_up"] == {"MOVED": PAGES // 2, "NOT_PRESENT": UNTOUCHED // 2}
    assert seen["after_half"] == {fast: PAGES // 2, slow: PAGES // 2}
    assert seen["all_up"] == {
        "MOVED": PAGES // 2,
        "ALREADY_THERE": PAGES // 2,
        "DUPLICATE": DUPLICATES,
        "NOT_PRESENT": UNTOUCHED,
    }
    assert seen["after_all"] == {fast: PAGES}
    assert seen["down"] == {"MOVED": 1000}
    assert seen["after_down"] == {fast: PAGES - 1000, slow: 1000}


def test_nothing_is_damaged_by_moving(seen: dict[str, Any]) -> None:
    assert seen["damaged_pages"] == 0


def test_a_pinned_page_is_refused_and_its_neighbours_move(awkward: dict[str, Any]) -> None:
    """The kernel's call stops at such a page and says nothing about those around it."""
    pinned = awkward["pinned"]
    assert pinned["held"] == ["REFUSED"]
    assert pinned["counts"] == {"MOVED": 248, "REFUSED": 8}
    assert sorted(pinned["nodes"].values()) == [8, 248]
    assert pinned["released"] == {"MOVED": 8, "ALREADY_THERE": 248}


def test_shared_pages_move_only_when_asked_for(awkward: dict[str, Any]) -> None:
    shared = awkward["shared"]
    assert shared["without"] == {"SHARED": 64}
    assert list(shared["nodes"].values()) == [64]
    assert shared["with"] == {"MOVED": 64}


def test_a_huge_page_moves_whole_for_any_of_its_pages(awkward: dict[str, Any]) -> None:
    huge = awkward["huge"]
    assert huge["thp_pages"] == 1024
    assert huge["one"] == {"MOVED": 1}
    assert sorted(huge["after_one"].values()) == [512, 512]
    assert huge["all"] == {"MOVED": 512, "ALREADY_THERE": 512}
    assert list(huge["after_all"].values()) == [1024]
