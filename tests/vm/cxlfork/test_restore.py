"""Restores from CXL memory through the image module: what tests/unit/cxlfork/restoring shows
of a pool that is a file, in a guest whose pool is a device, on both kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, SOURCE
from tests.vm.kmod.guest_modules import load, unload

MODULE = "tiermem_image"
TESTS_S = 1500


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def fork_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with /dev/dax0.0 and the module."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest, MODULE)
    yield guest
    unload(guest, MODULE)


@pytest.mark.timeout(TESTS_S + 600)
def test_processes_are_restored_through_the_module(fork_guest: Guest) -> None:
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": f"{SOURCE}/userspace:{SOURCE}",
        "TIERMEM_TEST_POOL": "/dev/dax0.0",
    }
    tests = f"{SOURCE}/tests/unit/cxlfork/restoring"
    command = ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests]
    done = fork_guest.exec(command, env=environment, timeout_s=TESTS_S)
    assert done.status == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
