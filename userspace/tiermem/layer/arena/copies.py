"""Copies into and out of arenas: past the cache, in C, as fast as each end is said to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from tiermem.errors import TiermemError
from tiermem.native._arena import ffi, lib


@dataclass(slots=True)
class Side:
    """One end of a copy. `held` keeps the memory, within the `with` block; `pace` is a schedule
    or NULL."""

    address: int
    bytes: int
    held: Any
    pace: Any
    is_coherent: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if isinstance(self.held, ffi.CData):
            ffi.release(self.held)
        # An error's traceback would hold it further.
        self.held = None


def side_of(data: Any, *, writable: bool = False) -> Side:
    """Of an arena's buffer, or of whatever has the buffer protocol and lies in one piece."""
    from tiermem.layer.arena.buffer import Buffer

    if isinstance(data, Buffer):
        return data.side()
    try:
        held = ffi.from_buffer("uint8_t[]", data, require_writable=writable)
    except (TypeError, ValueError, BufferError) as error:
        wanted = "a writable buffer" if writable else "a buffer"
        raise TiermemError(
            f"{type(data).__name__}: is not {wanted} in one piece: {error}"
        ) from None
    return Side(int(ffi.cast("uintptr_t", held)), len(held), held, ffi.NULL, True)


def copy(target: Side, source: Side) -> None:
    """All of `source` to the begin of `target`, which is as long. The GIL is released."""
    if source.address < target.address + target.bytes and (
        target.address < source.address + source.bytes
    ):
        raise TiermemError(
            f"a copy of {source.bytes} bytes from {source.address:#x} to {target.address:#x}: "
            "the two overlap"
        )
    if not source.is_coherent:
        _drop_lines(ffi.cast("void *", source.address), source.bytes)
    lib.paced_copy(
        target.pace,
        source.pace,
        ffi.cast("void *", target.address),
        ffi.cast("void *", source.address),
        source.bytes,
    )


def write_back(export: Any, is_coherent: bool) -> None:
    """The lines of a buffer are in memory when it returns."""
    if not is_coherent:
        lines = ffi.from_buffer(export)
        lib.pool_copy_write_back(lines, len(lines))
        lib.pool_copy_fence()


def invalidate(export: Any, is_coherent: bool) -> None:
    """The lines of a buffer are in no cache of this host when it returns."""
    if not is_coherent:
        lines = ffi.from_buffer(export)
        _drop_lines(lines, len(lines))


def _drop_lines(at: Any, size_bytes: int) -> None:
    lib.pool_copy_invalidate(at, size_bytes)
    lib.pool_copy_fence()
