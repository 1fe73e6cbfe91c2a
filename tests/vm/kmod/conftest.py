"""Both kernels, with the modules loaded; every test must leave the kernel log clean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest

from tests.vm.kmod.guest_modules import load, unload

WORTH_A_LOOK = "emerg,alert,crit,err,warn"
EXPECTED = (
    *("taints kernel", "module verification failed", "tiermem_tlb: period_ms"),
    # How busy the host is.
    *("hrtimer: interrupt took", "DL replenish lagged too much"),
)

_marks = itertools.count()


@pytest.fixture(scope="module", params=["guest", "guest_lts"], ids=["newest", "lts"])
def kmod_guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A guest with both modules loaded and the hardware model idle behind them."""
    guest: Guest = request.getfixturevalue(request.param)
    load(guest)
    yield guest
    unload(guest)


@pytest.fixture(autouse=True)
def clean_kernel_log(kmod_guest: Guest) -> Iterator[None]:
    """Fails a test during which the kernel had something to complain about."""
    mark = f"tiermem test {next(_marks)}"
    kmod_guest.check(["sh", "-c", f"echo '<4>{mark}' > /dev/kmsg"])
    yield
    log = kmod_guest.check(["dmesg", f"--level={WORTH_A_LOOK}"]).stdout
    assert mark in log, "the kernel log has lost its beginning: what came since is not known"
    complaints = [
        line
        for line in log.partition(mark)[2].splitlines()[1:]
        if not any(words in line for words in EXPECTED)
    ]
    assert complaints == []
