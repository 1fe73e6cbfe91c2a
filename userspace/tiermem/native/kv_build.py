"""KV blocks and the file of their SSD tier as `_kv`, for tiermem.serving.kv."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, COPIES, FOLDER

HEADERS = ("paced_copy.h", "kv_blocks.h", "kv_copier.h", "file_ring.h")
SOURCES = (
    *("kv_blocks.c", "kv_copier.c", "file_ring.c", "storage_ring.c"),
    *("paced_copy.c", *COPIES),
)


def ffi(root: Path) -> cffi.FFI:
    """Describes `_kv`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_kv",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
