"""Real programs restored from CXL memory through the image module, on both kernels.

The same tests run on the host, over a pool that is a file (tests/unit/cxlfork); here the
pool is a device, and there is Node.js.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest
from tiermem.testbed.guest_python import SOURCE, python_environment

from tests.vm.guest_python import PYTEST
from tests.vm.kmod.guest_modules import load, unload

MODULE = "tiermem_image"
TESTS_S = 600
RESTORING = f"{SOURCE}/tests/unit/cxlfork/restoring"
IN_GUEST = f"{SOURCE}/tests/vm/cxlfork/in_guest"


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def fork_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with /dev/dax0.0 and the module."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest, MODULE)
    yield guest
    unload(guest, MODULE)


def run(guest: Guest, *words: str, **environment: str) -> None:
    """Those tests in the guest, all of them; the report is the failure."""
    environment = {
        **python_environment(SOURCE),
        "TIERMEM_TEST_POOL": "/dev/dax0.0",
        **environment,
    }
    done = guest.exec([*PYTEST, *words], env=environment, timeout_s=TESTS_S)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"
    assert "skipped" not in done.stdout


def test_threads_timers_and_pipes(fork_guest: Guest) -> None:
    run(fork_guest, f"{RESTORING}/test_programs.py", f"{RESTORING}/test_timers.py")


@pytest.fixture
def _without_io_uring(fork_guest: Guest) -> Iterator[None]:
    """Debian's libuv uses it wherever there is one, and it cannot be taken."""
    switch = "/proc/sys/kernel/io_uring_disabled"
    fork_guest.check(["sh", "-c", f"echo 2 > {switch}"])
    yield
    fork_guest.check(["sh", "-c", f"echo 0 > {switch}"])


@pytest.mark.usefixtures("_without_io_uring")
@pytest.mark.parametrize("fork_guest", ["dax_guest"], indirect=True, ids=["newest"])
def test_node(fork_guest: Guest) -> None:
    run(fork_guest, f"{RESTORING}/test_node.py", TIERMEM_TEST_RESTORES="10")


def test_a_restore_that_is_killed_leaves_nothing(fork_guest: Guest) -> None:
    run(fork_guest, f"{RESTORING}/test_killed.py")


def test_memory_that_is_short(fork_guest: Guest) -> None:
    cut = ("-c", "/dev/null", "--import-mode=importlib", f"--confcutdir={IN_GUEST}")
    run(fork_guest, *cut, f"{IN_GUEST}/no_memory.py")
