"""Checkpoints on both kernels: what the image module adds to them."""

from __future__ import annotations

import pytest
from tiermem.testbed import Guest
from tiermem.testbed.guest_python import SOURCE, python_environment

from tests.vm.damon_statistics import without_damon_statistics
from tests.vm.guest_python import PYTEST
from tests.vm.kmod.guest_modules import load, unload

MODULE = "tiermem_image"


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def fork_guest(request: pytest.FixtureRequest) -> Guest:
    """A guest with /dev/dax0.0 for a pool."""
    guest: Guest = request.getfixturevalue(request.param)
    return guest


def run(guest: Guest, *words: str) -> None:
    """Their tests in the guest; the report is the failure."""
    command = [*PYTEST, "-c", "/dev/null", f"--rootdir={SOURCE}", *words]
    done = guest.exec(command, env=python_environment(SOURCE), timeout_s=1500)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"


def test_what_the_module_adds(fork_guest: Guest) -> None:
    load(fork_guest, MODULE)
    try:
        # What is above in the checkout needs QEMU's own modules.
        folder = f"{SOURCE}/tests/vm/cxlfork/in_guest"
        cut = ("--import-mode=importlib", f"--confcutdir={folder}")
        with without_damon_statistics(fork_guest):
            run(fork_guest, *cut, f"{folder}/module_pages.py")
    finally:
        unload(fork_guest, MODULE)
