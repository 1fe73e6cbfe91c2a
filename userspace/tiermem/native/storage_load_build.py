"""Load on files and slices as `_storage_load`, for bench/storage_load.py."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER

HEADERS = (
    "channel_layout.h",
    "channel.h",
    "channel_wait.h",
    "storage_command.h",
    "storage_link.h",
    "storage_frontend.h",
    "storage_load.h",
)
SOURCES = (
    "channel.c",
    "channel_wait.c",
    "line_instructions.c",
    "storage_link.c",
    "storage_ring.c",
    "storage_frontend.c",
    "storage_results.c",
    "storage_load.c",
)


def ffi(root: Path) -> cffi.FFI:
    """Describes `_storage_load`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_storage_load",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
