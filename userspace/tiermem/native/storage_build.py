"""The storage engine as `_storage`: a link, its backend, its frontend, and a block device on it."""

from __future__ import annotations

from pathlib import Path

import cffi

from tiermem.native.cdef import declarations
from tiermem.native.pool_build import COMPILE_ARGS, FOLDER

LINK_HEADERS = (
    "channel_layout.h",
    "channel.h",
    "channel_wait.h",
    "storage_command.h",
    "storage_link.h",
)
HEADERS = (
    *LINK_HEADERS,
    "storage_slice.h",
    "storage_slice_table.h",
    "storage_claim.h",
    "storage_backend.h",
    "storage_frontend.h",
    "ublk_control.h",
    "ublk_server.h",
)
FRONTEND_SOURCES = (
    "channel.c",
    "channel_wait.c",
    "line_instructions.c",
    "storage_link.c",
    "storage_ring.c",
    "storage_frontend.c",
    "storage_results.c",
)
SOURCES = (
    *FRONTEND_SOURCES,
    "storage_slice.c",
    "storage_operation.c",
    "storage_backend_link.c",
    "storage_backend.c",
    "ublk_control.c",
    "ublk_request.c",
    "ublk_server.c",
)


def ffi(root: Path) -> cffi.FFI:
    """Describes `_storage`; `root` is the checkout."""
    folder = root / FOLDER
    builder = cffi.FFI()
    builder.cdef(declarations([folder / name for name in HEADERS]))
    builder.set_source(
        "_storage",
        "\n".join(f'#include "{name}"' for name in HEADERS),
        sources=[str(folder / name) for name in SOURCES],
        include_dirs=[str(folder)],
        extra_compile_args=list(COMPILE_ARGS),
    )
    return builder
