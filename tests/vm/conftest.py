"""Guests that tests share. Each boots when its first test comes, and runs only during its tests.

Tests are put in the order of the guest they need, so that one pod runs at a time;
tests that boot a pod of their own come last. Where several processes share the work
(`pytest -n 2 --dist loadgroup`), all tests of a guest go to one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest, Pod, boot, load_topology

SHARED_GUESTS = (
    *("guest", "guest_lts", "icount_guest", "dax_guest", "dax_guest_lts"),
    *("two_hosts", "two_hosts_newest"),
)
BOOT_AND_TEST_S = 900

running: dict[str, list[Guest]] = {}


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """One host on the newest kernel in wall time; hardware model idle, modules not loaded."""
    with boot(load_topology("one-host"), kernel="newest", plugin=True) as pod:
        running["guest"] = list(pod.values())
        yield pod["a"]


@pytest.fixture(scope="session")
def guest_lts() -> Iterator[Guest]:
    """The same on Debian's 6.12."""
    with boot(load_topology("one-host"), kernel="lts", plugin=True) as pod:
        running["guest_lts"] = list(pod.values())
        yield pod["a"]


@pytest.fixture(scope="session")
def icount_guest() -> Iterator[Guest]:
    """One host with one CPU whose clock counts instructions; hardware model idle."""
    with boot(load_topology("one-host", cpus=1), time="icount", plugin=True) as pod:
        running["icount_guest"] = list(pod.values())
        yield pod["a"]


@pytest.fixture(scope="session")
def dax_guest() -> Iterator[Guest]:
    """One host whose CXL memory is /dev/dax0.0, on the newest kernel."""
    with boot(load_topology("one-host", cxl_use="devdax"), kernel="newest") as pod:
        running["dax_guest"] = list(pod.values())
        yield pod["a"]


@pytest.fixture(scope="session")
def dax_guest_lts() -> Iterator[Guest]:
    """The same on Debian's 6.12."""
    with boot(load_topology("one-host", cxl_use="devdax"), kernel="lts") as pod:
        running["dax_guest_lts"] = list(pod.values())
        yield pod["a"]


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Pod]:
    """Two hosts, a and b, that share one CXL memory and a network, on Debian's 6.12."""
    with boot(load_topology("two-hosts"), kernel="lts") as pod:
        running["two_hosts"] = list(pod.values())
        yield pod


@pytest.fixture(scope="session")
def two_hosts_newest() -> Iterator[Pod]:
    """The same on the newest kernel. A test marked `ends_a_host` comes last and alone."""
    with boot(load_topology("two-hosts"), kernel="newest") as pod:
        running["two_hosts_newest"] = list(pod.values())
        yield pod


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
        item.add_marker(pytest.mark.xdist_group(shared[0] if shared else item.path.name))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(BOOT_AND_TEST_S))


def resume_all() -> None:
    """Let every guest run, so that fixtures of any of them may be set up or taken down."""
    for guests in running.values():
        for guest in guests:
            if guest.crashed() is None:
                guest.resume()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    resume_all()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Pause the guests that this test does not need, since they would take its CPU time."""
    for name in set(running) - needed_guests(item):
        for guest in running[name]:
            if guest.crashed() is None:
                guest.pause()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    resume_all()
