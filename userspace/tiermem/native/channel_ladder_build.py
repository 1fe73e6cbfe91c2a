"""A channel measured between two processors, as `_channel_ladder`, for bench/channel.py."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER

HEADERS = ("channel_layout.h", "channel.h", "channel_ladder.h")
SOURCES = ("channel.c", "channel_ladder.c", "line_instructions.c")


def ffi(root: Path) -> cffi.FFI:
    """Describes `_channel_ladder`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_channel_ladder",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
