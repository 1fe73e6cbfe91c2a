"""KV blocks and the file of their SSD tier as `_kv`, for tiermem.serving.kv."""

from __future__ import annotations

from tiermem.native.extension import Extension, native
from tiermem.native.pool_build import COPIES

EXTENSION = Extension(
    "kv",
    native("paced_copy.h", "kv_blocks.h", "kv_copier.h", "file_ring.h"),
    (
        *native("kv_blocks.c", "kv_copier.c", "file_ring.c", "storage_ring.c", "paced_copy.c"),
        *COPIES,
    ),
)
