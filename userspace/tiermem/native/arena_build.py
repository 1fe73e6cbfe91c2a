"""Arenas' memory and their copies as `_arena`, for tiermem.layer.arena."""

from __future__ import annotations

from tiermem.native.extension import Extension, native
from tiermem.native.pool_build import COPIES

EXTENSION = Extension(
    "arena",
    native("arena_memory.h", "paced_copy.h", "pool_copy.h"),
    (*native("arena_memory.c", "paced_copy.c"), *COPIES),
)
