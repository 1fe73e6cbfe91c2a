"""Load on files and slices as `_storage_load`, for bench/storage_load.py."""

from __future__ import annotations

from tiermem.native.extension import Extension, native
from tiermem.native.storage_build import FRONTEND_SOURCES, LINK_HEADERS

EXTENSION = Extension(
    "storage_load",
    (*LINK_HEADERS, *native("storage_frontend.h", "storage_load.h")),
    (*FRONTEND_SOURCES, *native("storage_load.c")),
)
