"""Rows of the pool and what the allocator writes in them, as `_allocator`."""

from __future__ import annotations

from tiermem.native.extension import Extension, native
from tiermem.native.pool_build import COPIES

# host_memory.h is code: what is needed of it here, which the compiler compares.
HOST_MEMORY = "struct host_memory { uint8_t *base; };"

EXTENSION = Extension(
    "allocator",
    native("row.h", "allocator_layout.h"),
    (*native("row.c"), *COPIES),
    code_headers=native("host_memory.h"),
    declared=lambda _root: HOST_MEMORY,
)
