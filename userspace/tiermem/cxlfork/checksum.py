"""CRC-32C of bytes, as the pool and the image's header have it."""

from __future__ import annotations

from typing import Any

from tiermem.native._pool import ffi, lib


def crc32c(data: Any, before: int = 0) -> int:
    """Of a contiguous buffer that follows what `before` is the sum of."""
    with ffi.from_buffer(data) as source:
        return int(lib.pool_checksum(before, source, len(source)))
