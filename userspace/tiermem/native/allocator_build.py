"""Rows of the pool and what the allocator writes in them, as `_allocator`."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, COPIES, FOLDER

HEADERS = ("row.h", "allocator_layout.h")
# host_memory.h is code: what is needed of it here, which the compiler compares.
MEMORY = "struct host_memory { uint8_t *base; };"


def ffi(root: Path) -> cffi.FFI:
    """Describes `_allocator`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(MEMORY + declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_allocator",
        "\n".join(f'#include "{name}"' for name in (*HEADERS, "host_memory.h")),
        sources=[str(folder / name) for name in ("row.c", *COPIES)],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
