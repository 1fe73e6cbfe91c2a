"""How fast the pool's copies past the cache are, next to memcpy on the same machine.

    speeds = measure()
    share_of_memcpy(speeds)     # 1.0: as fast

The source and the target are each larger than the caches, and each copy goes on where
the last one ended, so that both ways read memory and write memory. The two take turns,
and medians are compared: whatever else the machine does then meets both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tiermem.native._pool import ffi, lib

MIB = 1 << 20
SIZES = (1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB)
BUFFER_BYTES = 256 * MIB
"""Larger than any cache of today's processors."""
TURN_BYTES = 128 * MIB
TURNS = 9


@dataclass(frozen=True, slots=True)
class CopySpeed:
    """Copies of `bytes` each, in bytes a second: by memcpy, past the cache, and past the
    cache with their checksum, which is what filling an extent does."""

    bytes: int
    memcpy_bytes_per_s: float
    stream_bytes_per_s: float
    checked_bytes_per_s: float

    @property
    def share(self) -> float:
        """What filling an extent reaches of memcpy."""
        return self.checked_bytes_per_s / self.memcpy_bytes_per_s


class _Buffers:
    """Two stretches of memory that are there already, walked through in pieces."""

    def __init__(self, size: int) -> None:
        self._keep = [np.full(size, value, np.uint8) for value in (1, 2)]
        self._source, self._target = (
            ffi.from_buffer("uint8_t[]", one, require_writable=True) for one in self._keep
        )
        self._bytes, self._at = size, 0

    def pieces(self, size: int, count: int) -> list[tuple[Any, Any]]:
        """Target and source of the next so many copies."""
        found = []
        for _ in range(count):
            if self._at + size > self._bytes:
                self._at = 0
            found.append((self._target + self._at, self._source + self._at))
            self._at += size
        return found


def _copy(to: Any, source: Any, size: int) -> None:
    ffi.memmove(to, source, size)


def _stream(to: Any, source: Any, size: int) -> None:
    lib.pool_copy_stream(to, source, size)


def _checked(to: Any, source: Any, size: int) -> None:
    lib.pool_copy_checked(0, to, source, size)


def _bytes_per_s(
    copy: Callable[[Any, Any, int], None], pieces: Sequence[tuple[Any, Any]], size: int
) -> float:
    began_ns = time.perf_counter_ns()
    for to, source in pieces:
        copy(to, source, size)
    # What went past the cache has arrived; of memcpy's, whatever has not stays its own.
    lib.pool_copy_fence()
    return size * len(pieces) * 1e9 / (time.perf_counter_ns() - began_ns)


def measure(
    sizes: Sequence[int] = SIZES,
    *,
    turns: int = TURNS,
    turn_bytes: int = TURN_BYTES,
    buffer_bytes: int = BUFFER_BYTES,
) -> list[CopySpeed]:
    """The speed for each size; some seconds in all."""
    buffers = _Buffers(buffer_bytes)
    ways = (_copy, _stream, _checked)
    speeds = []
    for size in sizes:
        found: dict[Callable[..., None], list[float]] = {way: [] for way in ways}
        for turn in range(turns):
            # Each is first, second and third in its turn.
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                pieces = buffers.pieces(size, max(1, turn_bytes // size))
                found[way].append(_bytes_per_s(way, pieces, size))
        speeds.append(CopySpeed(size, *(statistics.median(found[way]) for way in ways)))
    return speeds


def share_of_memcpy(speeds: Sequence[CopySpeed]) -> float:
    """The figure pool_copy_share_of_memcpy: of the size at which it is least."""
    return min(speed.share for speed in speeds)
