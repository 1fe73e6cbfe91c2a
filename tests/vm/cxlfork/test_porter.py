"""The porter in a guest: functions that are warm are restored from CXL memory, in ghosts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tiermem.testbed import Guest

from tests.vm.cxlfork.services import DEVICE, start, start_porter, tiermem, wait_until
from tests.vm.guest_python import run_json
from tests.vm.kmod.guest_modules import load

MIB = 1 << 20
WARM_AFTER = 16
FUNCTIONS = {"json": "json_documents", "algebra": "linear_algebra", "images": "image_resize"}
IN_GUEST = "tests/vm/cxlfork/in_guest"


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def porter_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A host with the module, a pool in its CXL memory, cxlforkd and the porter."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest, "tiermem_image")
    guest.check(["tiermem", "pool", "create", DEVICE, "--hosts", "1", "--force"], timeout_s=120)
    start(guest, "fork", "tiermem", "fork", "run", "--set=end_clones_at_exit=true")
    wait_until(guest, "tiermem fork status")
    start_porter(guest, FUNCTIONS)
    yield guest
    for unit in ("porter", "fork"):
        guest.check(["systemctl", "stop", unit], timeout_s=120)
    wait_until(guest, "rmmod tiermem_image", timeout_s=60)


@pytest.fixture(scope="module")
def answers(porter_guest: Guest) -> dict[str, list[dict[str, Any]]]:
    """Of each function, 16 calls in a row and then three at once."""
    script = f"{IN_GUEST}/porter_calls.py"
    found: dict[str, list[dict[str, Any]]] = run_json(
        porter_guest, script, str(WARM_AFTER), "3", *FUNCTIONS
    )
    # What a failure is about.
    journal = ["journalctl", "-o", "cat", "-n", "40", "-u", "porter", "-u", "fork"]
    print(porter_guest.check(journal).stdout)
    return found


def test_once_it_is_warm_a_function_is_restored_from_its_image(
    porter_guest: Guest, answers: dict[str, list[dict[str, Any]]]
) -> None:
    for of_one in answers.values():
        hows = [one["how"] for one in of_one]
        assert hows[:WARM_AFTER] == ["cold", *["warm"] * (WARM_AFTER - 1)]
        # The instance that the image is of, and two clones of it beside.
        assert Counter(hows[WARM_AFTER:]) == {"warm": 1, "mow": 2}
        results = [one["result"] for one in of_one]
        assert all(one == results[0] for one in results)
    images = {one["name"]: one["state"] for one in tiermem(porter_guest, "ls", "--json")}
    assert images == {f"porter/{name}": "good" for name in FUNCTIONS}


def test_an_image_knows_what_calls_use_and_not_what_initialisation_did(
    porter_guest: Guest, answers: dict[str, list[dict[str, Any]]]
) -> None:
    """A bits are cleared after eight calls: 20,000 records were made, of which none is asked
    for in a call, which has its own 500."""
    pages = tiermem(porter_guest, "inspect", "porter/json", "--json")["pages"]
    assert 0 < pages["accessed"] < pages["stored"] / 2


def test_clones_have_cgroups_of_their_own_and_little_memory(
    porter_guest: Guest, answers: dict[str, list[dict[str, Any]]]
) -> None:
    clones = tiermem(porter_guest, "ps", "--json")
    assert len(clones) == 2 * len(FUNCTIONS)
    groups = {
        porter_guest.check(["cat", f"/proc/{one['pid']}/cgroup"]).stdout.strip() for one in clones
    }
    assert len(groups) == len(clones)
    assert all("/fork.service/tiermem-" in one for one in groups)
    images = {one["name"]: one["data_bytes"] for one in tiermem(porter_guest, "ls", "--json")}
    for one in clones:
        assert 0 < one["memory_bytes"] < images[one["image"]] / 2


def test_a_clone_has_the_limits_that_were_asked_for_and_its_cgroup_ends_with_it(
    porter_guest: Guest, answers: dict[str, list[dict[str, Any]]]
) -> None:
    words = ("--memory-mib", "64", "--cpus", "0.5", "--json")
    (clone,) = tiermem(porter_guest, "restore", "porter/json", *words)
    group = porter_guest.check(["cat", f"/proc/{clone['pid']}/cgroup"]).stdout.strip()
    folder = f"/sys/fs/cgroup{group.removeprefix('0::')}"
    limits = porter_guest.check(["cat", f"{folder}/memory.max", f"{folder}/cpu.max"]).stdout
    assert limits.split() == [str(64 * MIB), "50000", "100000"]
    tiermem(porter_guest, "end", str(clone["pid"]))
    wait_until(porter_guest, f"! test -d {folder}", timeout_s=60)


def test_a_ghost_takes_less_than_a_mebibyte_the_kernels_memory_included(
    porter_guest: Guest,
) -> None:
    found = run_json(porter_guest, f"{IN_GUEST}/ghost_memory.py")
    assert 0 < found["bytes_each"] < MIB
