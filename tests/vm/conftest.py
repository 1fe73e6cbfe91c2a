"""Guests that tests share. Each boots when its first test comes, and ends when the next has.

Tests are put in the order of the guest they need, so that one pod runs at a time in each
process; where several share the work (`pytest -n 2 --dist loadgroup`), all tests of a
guest go to one of them. Tests that boot a pod of their own come last, each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tiermem.testbed import Guest, Pod, boot, load_topology

SHARED_GUESTS = (
    *("guest", "dax_guest_lts", "dax_guest", "two_hosts_newest", "guest_lts"),
    *("three_hosts", "two_hosts", "icount_guest"),
)
"""Those whose tests take longest first, so that two processes end at about the same time."""
BOOT_AND_TEST_S = 1200
DAX_AND_NVME = {"cxl_use": "devdax", "nvme": "256M"}

running: dict[str, ExitStack] = {}
"""The shared pods that run, each with what ends it."""


def run(name: str, topology: str, *, changes: dict[str, Any] | None = None, **how: Any) -> Pod:
    """Boot the shared pod of that name."""
    stack = ExitStack()
    pod: Pod = stack.enter_context(boot(load_topology(topology, **(changes or {})), **how))
    running[name] = stack
    return pod


@pytest.fixture(scope="session")
def guest() -> Guest:
    """One host on the newest kernel in wall time; hardware model idle, modules not loaded."""
    return run("guest", "one-host", kernel="newest", plugin=True)["a"]


@pytest.fixture(scope="session")
def guest_lts() -> Guest:
    """The same on Debian's 6.12."""
    return run("guest_lts", "one-host", kernel="lts", plugin=True)["a"]


@pytest.fixture(scope="session")
def icount_guest() -> Guest:
    """One host with one CPU whose clock counts instructions; hardware model idle."""
    one_cpu = {"cpus": 1}
    return run("icount_guest", "one-host", changes=one_cpu, time="icount", plugin=True)["a"]


@pytest.fixture(scope="session")
def dax_guest() -> Guest:
    """One host whose CXL memory is /dev/dax0.0, and with an NVMe drive, on the newest kernel."""
    return run("dax_guest", "one-host", changes=DAX_AND_NVME, kernel="newest")["a"]


@pytest.fixture(scope="session")
def dax_guest_lts() -> Guest:
    """The same on Debian's 6.12."""
    return run("dax_guest_lts", "one-host", changes=DAX_AND_NVME, kernel="lts")["a"]


@pytest.fixture(scope="session")
def two_hosts() -> Pod:
    """Two hosts, a and b, that share one CXL memory and a network, each with an NVMe drive, on
    Debian's 6.12."""
    return run("two_hosts", "two-hosts", changes={"nvme": "64M"}, kernel="lts")


@pytest.fixture(scope="session")
def two_hosts_newest() -> Pod:
    """The same on the newest kernel. A test marked `ends_a_host` comes last and alone."""
    return run("two_hosts_newest", "two-hosts", kernel="newest")


@pytest.fixture(scope="session")
def three_hosts() -> Pod:
    """Three hosts that share one CXL memory, on Debian's 6.12. b and c have NICs on one segment,
    a has none. A test marked `ends_a_host` comes last and alone."""
    return run("three_hosts", "three-hosts", kernel="lts")


def needed_guests(item: pytest.Item) -> set[str]:
    """The shared guests of a test: fixtures it names, or its parameters name."""
    names = set(getattr(item, "fixturenames", ()))
    call = getattr(item, "callspec", None)
    if call is not None:
        names = {name for name in names if name not in call.params}
        names |= {value for value in call.params.values() if isinstance(value, str)}
        if names.isdisjoint(SHARED_GUESTS):
            names |= set(getattr(item, "fixturenames", ()))
    return names & set(SHARED_GUESTS)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook, too
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group by guest; a guest's boot counts as the test's time, so give it enough."""

    def place(item: pytest.Item) -> int:
        needed = [SHARED_GUESTS.index(name) for name in needed_guests(item)]
        return max(needed, default=len(SHARED_GUESTS))

    def ends_a_host(item: pytest.Item) -> bool:
        return item.get_closest_marker("ends_a_host") is not None

    items.sort(key=lambda item: (place(item), ends_a_host(item)))
    for item in items:
        shared = SHARED_GUESTS[place(item) : place(item) + 1]
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.nodeid))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(BOOT_AND_TEST_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """End the guests that no test needs any more; only now, since a module's fixture for one
    guest is torn down when that for another is set up."""
    yield
    for name in set(running) - needed_guests(item):
        running.pop(name).close()


def pytest_sessionfinish() -> None:
    """Where the tests were stopped on the way."""
    while running:
        running.popitem()[1].close()
