"""An area of a pool over a file, as two hosts have it; an instance of a module's pod."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.layer.pool import Area, create_pool, open_pool

from bench.oasis_pod import INTERFACE, Pod

AREA_BYTES = 1 << 20


@pytest.fixture
def areas(tmp_path: Path) -> Iterator[tuple[Area, Area]]:
    """The same area, on the host that made it and on another."""
    path = tmp_path / "pool"
    create_pool(path, hosts=2, entries=8, size=16 << 20)
    with (
        open_pool(path, 0, run_dir=tmp_path / "run0") as a,
        open_pool(path, 1, run_dir=tmp_path / "run1") as b,
        a.create_area("channels", AREA_BYTES) as ours,
        b.open_area("channels") as theirs,
    ):
        yield ours, theirs


@pytest.fixture(scope="module")
def web(pod: Pod) -> str:
    """The namespace of an instance on the host that has no NIC of its own."""
    return pod.attach("10.7.1.2")


@pytest.fixture
def name(web: str) -> str:
    """What that instance is called."""
    return f"{web}/{INTERFACE}"
