"""The image module on both kernels, over a device that the kernel keeps out of its memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from tiermem.testbed import Guest, boot, load_topology

from tests.vm.kmod.guest_modules import load, run_cases, unload

MODULE = "tiermem_image"


@pytest.fixture(scope="module", params=["newest", "lts"])
def kmod_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with /dev/dax0.0 and the module."""
    kernel: Literal["newest", "lts"] = request.param
    with boot(load_topology("one-host", cxl_use="devdax", dram="768M"), kernel=kernel) as pod:
        load(pod["a"], MODULE)
        yield pod["a"]
        unload(pod["a"], MODULE)


def test_a_mapping_is_the_processes_own_memory(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_mappings.py")


def test_what_processes_hold_is_told(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_pages.py")


def test_misuse_has_an_errno_and_loses_nothing(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "image_misuse.py")
