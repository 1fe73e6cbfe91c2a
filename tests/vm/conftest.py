"""Guests that tests share. Each boots when its first test comes and ends after its last.

Tests are put in the order of the guest they need, so that one pod runs at a time
(and tests that boot a pod of their own come last, when no other runs).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tiermem.testbed import Guest, Pod, boot, load_topology

SHARED_GUESTS = ("guest", "guest_lts", "icount_guest", "two_hosts")
BOOT_AND_TEST_S = 900


@pytest.fixture(scope="session")
def guest() -> Iterator[Guest]:
    """One host on the newest kernel in wall time; hardware model idle, modules not loaded."""
    with boot(load_topology("one-host"), kernel="newest", plugin=True) as pod:
        yield pod["a"]


@pytest.fixture(scope="session")
def guest_lts() -> Iterator[Guest]:
    """The same on Debian's 6.12."""
    with boot(load_topology("one-host"), kernel="lts", plugin=True) as pod:
        yield pod["a"]


@pytest.fixture(scope="session")
def icount_guest() -> Iterator[Guest]:
    """One host with one CPU whose clock counts instructions; hardware model idle."""
    with boot(load_topology("one-host", cpus=1), time="icount", plugin=True) as pod:
        yield pod["a"]


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Pod]:
    """Two hosts, a and b, that share one CXL memory and a network."""
    with boot(load_topology("two-hosts"), kernel="lts") as pod:
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

    items.sort(key=place)
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(BOOT_AND_TEST_S))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End every shared guest that no test still to come needs."""
    items = item.session.items
    rest = items[items.index(item) + 1 :] if nextitem is not None else []
    wanted = set().union(*(needed_guests(later) for later in rest))
    for name in set(SHARED_GUESTS) - wanted:
        for fixture in item.session._fixturemanager._arg2fixturedefs.get(name, ()):
            if fixture.cached_result is not None:
                fixture.finish(item._request)  # type: ignore[attr-defined]
