"""A backend as a process of its own, to be killed.

usage: backend_process.py FOLDER AREA OFFSET_BYTES BYTES [AREA OFFSET_BYTES BYTES ...]
Serves the links in those areas, each with one slice, until its input ends.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from tiermem.layer.pool import open_pool
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.slices import Slice


def main(folder: Path, links: list[str]) -> None:
    with ExitStack() as stack:
        pool = stack.enter_context(open_pool(folder / "pool", 1, run_dir=folder / "run1"))
        areas = [stack.enter_context(pool.open_area(name)) for name in links[::3]]
        backend = stack.enter_context(Backend(BackendSettings(path=folder / "disk")))
        for area, offset_bytes, size in zip(areas, links[1::3], links[2::3], strict=True):
            backend.add_link(area, {0: Slice(int(offset_bytes), int(size))})
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
