"""Hosts for a test; `module_hosts` for those that hypothesis runs many times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.oasis.storage.hosts import Hosts, two_hosts


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """A pool of two hosts, and a disk that the second has."""
    with two_hosts(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def module_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """The same, for a module."""
    with two_hosts(tmp_path_factory.mktemp("hosts")) as made:
        yield made
