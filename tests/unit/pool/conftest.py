"""A pool over a file, and hosts that are processes or openings of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiermem.layer.pool import Pool, create_pool, open_pool

MIB = 1 << 20
SIZE = 16 * MIB
Opener = Callable[..., Pool]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pool for two hosts, of eight entries each."""
    made = tmp_path / "pool"
    create_pool(made, hosts=2, entries=8, size=SIZE)
    return made


@pytest.fixture
def opened(path: Path, tmp_path: Path) -> Iterator[Opener]:
    """Opens it as a host; closed at the end."""
    with ExitStack() as stack:

        def open_it(host: int | None = 0) -> Pool:
            return stack.enter_context(open_pool(path, host, run_dir=tmp_path / f"run{host}"))

        yield open_it
