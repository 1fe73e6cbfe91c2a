"""A world of namespaces for each test that asks for one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.oasis.net.world import Network, World


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """What all worlds lie on."""
    yield from make_network(mtu=1500)


@pytest.fixture(scope="session")
def jumbo_network() -> Iterator[Network]:
    """The same, where frames may be longer."""
    yield from make_network(mtu=9000)


@pytest.fixture
def world(network: Network, tmp_path: Path) -> Iterator[World]:
    """`outside` and a backend, without hosts."""
    with contextlib.ExitStack() as stack:
        yield World(network, tmp_path, stack)


@pytest.fixture
def jumbo_world(jumbo_network: Network, tmp_path: Path) -> Iterator[World]:
    """The same, where frames may be longer."""
    with contextlib.ExitStack() as stack:
        yield World(jumbo_network, tmp_path, stack)


def make_network(mtu: int) -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces and TAPs need root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("no /dev/net/tun")
    with contextlib.ExitStack() as stack:
        yield Network(stack, mtu=mtu)
