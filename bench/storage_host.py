"""The SSD's host in the storage engine's benchmark, as a process (bench.child)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiermem.layer.pool import open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.slices import Slice

from bench.child import run_on, serve

NUMBER = 1


@dataclass(frozen=True)
class SsdHost:
    """Serves the link in that area with all of the disk. folder: where the pool is."""

    folder: Path
    area: str
    disk: Path
    disk_bytes: int
    cpu: int


@contextmanager
def _start(given: Mapping[str, Any]) -> Iterator[None]:
    spec = SsdHost(**given)
    folder = Path(spec.folder)
    run_on(spec.cpu)
    with (
        open_pool(folder / "pool", NUMBER, run_dir=folder / "run1") as pool,
        pool.open_area(spec.area) as area,
        Backend(BackendSettings(path=Path(spec.disk))) as backend,
    ):
        backend.add_link(area, {0: Slice(0, spec.disk_bytes)})
        yield


if __name__ == "__main__":
    serve(_start)
