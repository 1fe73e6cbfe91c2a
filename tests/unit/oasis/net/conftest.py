"""A world of namespaces for each test that asks for one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.oasis.net.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """`outside` and a backend, without hosts."""
    yield from make_world(tmp_path, mtu=1500)


@pytest.fixture
def jumbo_world(tmp_path: Path) -> Iterator[World]:
    """The same, where frames may be longer."""
    yield from make_world(tmp_path, mtu=9000)


def make_world(folder: Path, mtu: int) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces and TAPs need root")
    if not Path("/dev/net/tun").exists():
        pytest.skip("no /dev/net/tun")
    with contextlib.ExitStack() as stack:
        yield World(folder, stack, mtu=mtu)
