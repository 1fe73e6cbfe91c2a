"""Arenas of a few MiB on this host's memory, closed at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import TiermemError
from tiermem.layer.arena import Arena, create_arena

MIB = 1 << 20
Maker = Callable[..., Arena]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Where this test's arenas are listed."""
    return tmp_path / "run"


@pytest.fixture
def make(run_dir: Path) -> Iterator[Maker]:
    """create_arena, of 4 MiB on node 0 unless said; who still has buffers open is left alone."""
    made: list[Arena] = []

    def make_one(size_bytes: int = 4 * MIB, **options: Any) -> Arena:
        options = {"nodes": [0], **options} if "tier" not in options else options
        made.append(create_arena("test", size_bytes, run_dir=run_dir, **options))
        return made[-1]

    yield make_one
    for arena in made:
        with suppress(TiermemError):
            arena.close()
