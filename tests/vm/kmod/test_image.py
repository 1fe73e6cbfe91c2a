"""The image module on both kernels, over a device that the kernel keeps out of its memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.damon_statistics import without_damon_statistics
from tests.vm.kmod.guest_modules import load, run_cases, unload

MODULE = "tiermem_image"


@pytest.fixture(scope="module", params=["dax_guest", "dax_guest_lts"], ids=["newest", "lts"])
def kmod_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with /dev/dax0.0 and the module."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest, MODULE)
    with without_damon_statistics(guest):
        yield guest
    unload(guest, MODULE)


def test_a_mapping_is_the_processes_own_memory_and_misuse_loses_nothing(
    kmod_guest: Guest,
) -> None:
    files = ("image_mappings.py", "image_large_mappings.py", "image_pages.py", "image_misuse.py")
    run_cases(kmod_guest, *files)
