"""The porter in a guest: functions that are warm are restored from CXL memory, in ghosts.

Here on the newest kernel; test_two_hosts.py has it on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.cxlfork.services import (
    create_pool,
    start_fork_daemon,
    start_porter,
    wait_for_fork_daemon,
    wait_until,
)
from tests.vm.guest_python import run_json
from tests.vm.kmod.guest_modules import load

MIB = 1 << 20
WARM_AFTER, AT_ONCE = 16, 3
FUNCTIONS = {"json": "json_documents", "algebra": "linear_algebra"}
IN_GUEST = "tests/vm/cxlfork/in_guest"


@pytest.fixture(scope="module")
def porter_guest(dax_guest: Guest) -> Iterator[Guest]:
    """A host with the module, a pool in its CXL memory, cxlforkd and the porter."""
    guest = dax_guest
    load(guest, "tiermem_image")
    create_pool(guest, 1)
    start_fork_daemon(guest, "end_clones_at_exit=true")
    wait_for_fork_daemon(guest)
    start_porter(guest, FUNCTIONS)
    yield guest
    for unit in ("porter", "fork"):
        guest.check(["systemctl", "stop", unit], timeout_s=120)
    wait_until(guest, "rmmod tiermem_image", timeout_s=60)


@dataclass(frozen=True)
class Seen:
    """answers: of each function, to 16 calls in a row and then three at once. state: what
    cxlforkd has then (porter_state.py)."""

    answers: dict[str, list[dict[str, Any]]]
    state: dict[str, Any]


@pytest.fixture(scope="module")
def seen(porter_guest: Guest) -> Seen:
    """Everything is called and looked at once: to start Python takes seconds in a guest."""
    counts = (str(WARM_AFTER), str(AT_ONCE))
    answers = run_json(porter_guest, f"{IN_GUEST}/porter_calls.py", *counts, *FUNCTIONS)
    # What a failure is about.
    journal = ["journalctl", "-o", "cat", "-n", "40", "-u", "porter", "-u", "fork"]
    print(porter_guest.check(journal).stdout)
    return Seen(answers, run_json(porter_guest, f"{IN_GUEST}/porter_state.py", "porter/json"))


def test_once_it_is_warm_a_function_is_restored_from_its_image(seen: Seen) -> None:
    for of_one in seen.answers.values():
        hows = [one["how"] for one in of_one]
        assert hows[:WARM_AFTER] == ["cold", *["warm"] * (WARM_AFTER - 1)]
        # The instance that the image is of, and clones of it beside.
        assert set(hows[WARM_AFTER:]) == {"warm", "mow"}
        results = [one["result"] for one in of_one]
        assert all(one == results[0] for one in results)
    states = {name: one["state"] for name, one in seen.state["images"].items()}
    assert states == {f"porter/{name}": "good" for name in FUNCTIONS}


def test_an_image_knows_what_calls_use_and_not_what_initialisation_did(seen: Seen) -> None:
    """A bits are cleared after eight calls: 20,000 records were made, of which none is asked
    for in a call, which has its own 500."""
    pages = seen.state["pages"]
    assert 0 < pages["accessed"] < pages["stored"] / 2


def test_clones_have_cgroups_of_their_own_and_little_memory(seen: Seen) -> None:
    clones = seen.state["clones"]
    assert {one["image"] for one in clones} == set(seen.state["images"])
    groups = {one["cgroup"] for one in clones}
    assert len(groups) == len(clones)
    assert all("/fork.service/tiermem-" in one for one in groups)
    for one in clones:
        assert 0 < one["memory_bytes"] < seen.state["images"][one["image"]]["data_bytes"] / 2


def test_a_clone_has_the_limits_that_were_asked_for_and_its_cgroup_ends_with_it(
    seen: Seen,
) -> None:
    assert seen.state["limited"] == {
        "memory.max": str(64 * MIB),
        "cpu.max": "50000 100000",
        "is_gone": True,
    }


def test_a_ghost_takes_less_than_a_mebibyte_the_kernels_memory_included(
    porter_guest: Guest,
) -> None:
    found = run_json(porter_guest, f"{IN_GUEST}/ghost_memory.py")
    print(found)
    assert 0 < found["bytes_each"] < MIB
