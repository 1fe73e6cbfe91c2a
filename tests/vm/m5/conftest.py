"""Guests with the project's modules loaded, as the daemon needs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.m5.loaded_modules import load_missing, unload_present

NUMA_BALANCING_ON = "echo 1 > /proc/sys/kernel/numa_balancing"
NUMA_BALANCING_OFF = "echo 0 > /proc/sys/kernel/numa_balancing"


@pytest.fixture(scope="module")
def tracked(guest: Guest) -> Iterator[Guest]:
    """The wall-time guest with both modules, and NUMA balancing on, as a distribution has it."""
    load_missing(guest)
    guest.check(["sh", "-c", NUMA_BALANCING_ON])
    yield guest
    guest.check(["sh", "-c", NUMA_BALANCING_OFF])
    unload_present(guest)
