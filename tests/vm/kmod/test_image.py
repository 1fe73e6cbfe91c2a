"""The image module on both kernels, over a device that the kernel keeps out of its memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.kmod.guest_modules import load, run_cases, unload

MODULE = "tiermem_image"


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def kmod_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with /dev/dax0.0 and the module."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest, MODULE)
    yield guest
    unload(guest, MODULE)


def test_a_mapping_is_the_processes_own_memory(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_mappings.py", "image_large_mappings.py")


def test_what_processes_hold_is_told(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_pages.py")


def test_misuse_has_an_errno_and_loses_nothing(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_misuse.py")
