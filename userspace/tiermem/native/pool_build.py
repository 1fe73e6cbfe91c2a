"""The shared pool as `_pool`: its metadata protocol and its bulk copies, on a mapping."""

from __future__ import annotations

from tiermem.native.extension import Extension, native

COPIES = native("pool_copy.c", "line_instructions.c")
PROTOCOL = native("pool.c", "pool_entries.c", "pool_references.c", "pool_areas.c")

EXTENSION = Extension(
    "pool",
    native("pool_layout.h", "pool.h", "pool_copy.h", "pool_mapping.h"),
    (*PROTOCOL, *COPIES, *native("pool_mapping.c")),
)
