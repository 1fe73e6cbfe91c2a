"""The storage engine as `_storage`: a link, its backend, its frontend, and a block device on it."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

LINK_HEADERS = native(
    "channel_layout.h",
    "channel.h",
    "channel_wait.h",
    "storage_command.h",
    "storage_link.h",
)
HEADERS = native(
    "storage_slice.h",
    "storage_slice_table.h",
    "storage_claim.h",
    "storage_backend.h",
    "storage_frontend.h",
    "ublk_control.h",
    "ublk_server.h",
)
FRONTEND_SOURCES = native(
    "channel.c",
    "channel_wait.c",
    "line_instructions.c",
    "storage_link.c",
    "storage_ring.c",
    "storage_frontend.c",
    "storage_results.c",
)
SOURCES = native(
    "storage_slice.c",
    "storage_operation.c",
    "storage_backend_link.c",
    "storage_backend.c",
    "ublk_control.c",
    "ublk_request.c",
    "ublk_server.c",
)

EXTENSION = Extension("storage", (*LINK_HEADERS, *HEADERS), (*FRONTEND_SOURCES, *SOURCES))
