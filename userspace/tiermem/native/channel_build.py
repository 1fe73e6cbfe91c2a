"""The ends of a channel, and waiting at one, as `_channel`, for control planes and tests."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER

HEADERS = ("channel_layout.h", "channel.h", "channel_wait.h")
SOURCES = ("channel.c", "channel_wait.c", "line_instructions.c")
# host_memory.h is code: what is needed of it here, which the compiler compares.
MEMORY = "struct host_memory { uint8_t *base; };"


def ffi(root: Path) -> cffi.FFI:
    """Describes `_channel`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(MEMORY + declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_channel",
        "\n".join(f'#include "{name}"' for name in (*HEADERS, "host_memory.h")),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
