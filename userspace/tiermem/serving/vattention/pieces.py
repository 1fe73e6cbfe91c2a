"""Calls of `native._vmem`: pieces of a reservation, and errors with the kernel's meaning."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tiermem.errors import KernelError, MissingError, NoSpaceError

try:
    from tiermem.native._vmem import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _vmem is not built: run python3 userspace/tiermem/native/build.py"
    ) from error

MAPS_MAX_FILE = Path("/proc/sys/vm/max_map_count")


class Piece(NamedTuple):
    """Bytes at an address of a reservation, and where their memory is: a file's offset, or
    another address. is_dirty: it is to become zeros before anybody sees it."""

    address: int
    source: int
    bytes: int
    is_dirty: bool = False


def reserve(size_bytes: int, align_bytes: int) -> int:
    """Addresses that nobody can touch; KernelError."""
    address = ffi.new("uint64_t *")
    status = lib.vmem_reserve(size_bytes, align_bytes, address)
    if status < 0:
        raise KernelError(f"reserve {size_bytes} bytes of addresses", -status)
    return int(address[0])


def free(address: int, size_bytes: int) -> None:
    """End of a reservation; KernelError."""
    status = lib.vmem_free(address, size_bytes)
    if status < 0:
        raise KernelError(f"free {size_bytes} bytes at {address:#x}", -status)


def writable(address: int, size_bytes: int) -> Any:
    """The reservation as a buffer; whoever holds it may touch what is mapped."""
    return ffi.buffer(ffi.cast("uint8_t *", address), size_bytes)


def commit_private(pieces: Sequence[Piece]) -> None:
    """New memory, touched, all or none."""
    call = partial(lib.vmem_commit, lib.VMEM_PRIVATE, -1)
    _all_or_none(call, uncommit, pieces, "new memory")


def commit_memory_file(handle: int, pieces: Sequence[Piece]) -> None:
    """Ranges of a memory file, touched, all or none."""
    call = partial(lib.vmem_commit, lib.VMEM_MEMORY_FILE, handle)
    _all_or_none(call, uncommit, pieces, "a memory file")


def commit_file(handle: int, pieces: Sequence[Piece], what: str) -> None:
    """Ranges of another file or a device, touched, all or none."""
    _all_or_none(partial(lib.vmem_commit, lib.VMEM_FILE, handle), uncommit, pieces, what)


def address_of(buffer: Any) -> int:
    """Where a writable buffer begins; the caller keeps it."""
    exported = ffi.from_buffer("uint8_t[]", buffer, require_writable=True)
    try:
        return int(ffi.cast("uintptr_t", exported))
    finally:
        ffi.release(exported)


def commit_moved(pieces: Sequence[Piece], what: str) -> None:
    """Pages of another mapping, all or none."""
    _all_or_none(lib.vmem_commit_moved, return_moved, pieces, what)


def return_moved(pieces: Sequence[Piece]) -> None:
    """Pages back to the mapping that they are from."""
    _call(lib.vmem_return_moved, pieces, "give pages back to where they are from")


def uncommit(pieces: Sequence[Piece]) -> None:
    """Nobody can touch them any more."""
    _call(lib.vmem_uncommit, pieces, "take memory out of a reservation")


def punch(handle: int, pieces: Sequence[Piece]) -> None:
    """Their memory goes back to the kernel."""
    _call(partial(lib.vmem_punch, handle), pieces, "punch holes into the memory file")


def cover(pieces: Sequence[Piece]) -> None:
    """They read as zeros."""
    _call(lib.vmem_cover, pieces, "make addresses without memory readable")


def maps_max() -> int:
    """How many mappings the kernel lets a process have."""
    return int(MAPS_MAX_FILE.read_text())


def _array(pieces: Sequence[Piece]) -> Any:
    return ffi.new("struct vmem_piece[]", [tuple(piece) for piece in pieces])


def _call(function: Callable[..., int], pieces: Sequence[Piece], what: str) -> None:
    done = ffi.new("size_t *")
    status = function(len(pieces), _array(pieces), done)
    if status < 0:
        raise _meaning(status, f"{what}: piece {done[0] + 1} of {len(pieces)}")


def _all_or_none(
    function: Callable[..., int],
    undo: Callable[[Sequence[Piece]], None],
    pieces: Sequence[Piece],
    what: str,
) -> None:
    done = ffi.new("size_t *")
    status = function(len(pieces), _array(pieces), done)
    if status < 0:
        undo(pieces[: done[0]])
        size_bytes = sum(piece.bytes for piece in pieces)
        raise _meaning(status, f"map {size_bytes} bytes of {what}")


def _meaning(status: int, action: str) -> KernelError | NoSpaceError:
    if -status == errno.ENOMEM:
        return NoSpaceError(
            f"{action}: Cannot allocate memory (ENOMEM): no memory is left, or this process has "
            f"more than {maps_max()} mappings (sysctl vm.max_map_count)"
        )
    return KernelError(action, -status)
