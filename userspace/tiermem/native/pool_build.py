"""The shared pool as `_pool`: its metadata protocol and its bulk copies, on a mapping."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations

FOLDER = "userspace/tiermem/native"
HEADERS = ("pool_layout.h", "pool.h", "pool_copy.h", "pool_mapping.h")
COPIES = ("pool_copy.c", "line_instructions.c")
PROTOCOL = ("pool.c", "pool_entries.c", "pool_references.c", "pool_areas.c")
COMPILE_ARGS = ("-std=gnu99", "-O2", "-flto", "-Wall", "-Wextra")


def ffi(root: Path) -> cffi.FFI:
    """Describes `_pool`; `root` is the checkout."""
    builder = cffi.FFI()
    builder.cdef(declarations([root / FOLDER / name for name in HEADERS]))
    builder.set_source(
        "_pool",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(root / FOLDER / name) for name in (*PROTOCOL, *COPIES, "pool_mapping.c")],
        include_dirs=[str(root / FOLDER)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
