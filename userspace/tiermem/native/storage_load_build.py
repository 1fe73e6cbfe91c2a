"""Load on files and slices as `_storage_load`, for bench/storage_load.py."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER
from tiermem.native.storage_build import FRONTEND_SOURCES, LINK_HEADERS

HEADERS = (*LINK_HEADERS, "storage_frontend.h", "storage_load.h")
SOURCES = (*FRONTEND_SOURCES, "storage_load.c")


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
