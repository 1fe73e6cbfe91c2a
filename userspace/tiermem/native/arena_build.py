"""Arenas' memory and their copies as `_arena`, for tiermem.layer.arena."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, COPIES, FOLDER

HEADERS = ("arena_memory.h", "paced_copy.h", "pool_copy.h")
SOURCES = ("arena_memory.c", "paced_copy.c", *COPIES)


def ffi(root: Path) -> cffi.FFI:
    """Describes `_arena`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_arena",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
