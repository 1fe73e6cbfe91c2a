"""Checkpoints on both kernels: what the image module adds to them."""

from __future__ import annotations

import pytest
from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, SOURCE
from tests.vm.kmod.guest_modules import load, unload

MODULE = "tiermem_image"
PYTEST = (
    *("python3", "-m", "pytest", "-q", "--tb=short", "-c", "/dev/null", "-p", "no:cacheprovider"),
    f"--rootdir={SOURCE}",
)


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def fork_guest(request: pytest.FixtureRequest) -> Guest:
    """A guest with /dev/dax0.0 for a pool."""
    guest: Guest = request.getfixturevalue(request.param)
    return guest


def run(guest: Guest, *words: str) -> None:
    """Their tests in the guest; the report is the failure."""
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{SOURCE}/userspace:{SOURCE}"}
    done = guest.exec([*PYTEST, *words], env=environment, timeout_s=1500)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"


def test_what_the_module_adds(fork_guest: Guest) -> None:
    load(fork_guest, MODULE)
    try:
        # What is above in the checkout needs QEMU's own modules.
        folder = f"{SOURCE}/tests/vm/cxlfork/in_guest"
        cut = ("--import-mode=importlib", f"--confcutdir={folder}")
        run(fork_guest, *cut, f"{folder}/module_pages.py")
    finally:
        unload(fork_guest, MODULE)
