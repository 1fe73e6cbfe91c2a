"""Reads and writes of whole records: many at once by io_uring, or by plain calls without it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tiermem.errors import KernelError
from tiermem.native._kv import ffi, lib


@dataclass(frozen=True, slots=True)
class Transfer:
    """Between an address of this process and an offset of the file, both at whole pages."""

    address: int
    offset: int
    bytes: int
    is_write: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. error: an errno or 0; fewer bytes without one: the file ended."""

    done_bytes: int
    error: int


class Transfers:
    """One thread at a time. Rings are not there in some containers: `uses_ring` says."""

    def __init__(self, at_once: int, *, ring: bool = True) -> None:
        self._ring = lib.file_ring_create(at_once) if ring else ffi.NULL
        self.uses_ring = bool(self._ring)

    def run(self, fd: int, transfers: Sequence[Transfer]) -> list[Outcome]:
        """All of them, to the end. The GIL is released."""
        given = ffi.new("struct file_transfer[]", len(transfers))
        for one, transfer in zip(given, transfers, strict=True):
            one.address, one.offset = transfer.address, transfer.offset
            one.bytes, one.is_write = transfer.bytes, transfer.is_write
        if self.uses_ring:
            lib.file_ring_transfer(self._ring, fd, given, len(transfers))
        else:
            lib.file_calls_transfer(fd, given, len(transfers))
        return [Outcome(one.done_bytes, one.error) for one in given]

    def close(self) -> None:
        """Nothing is under way."""
        if self._ring:
            lib.file_ring_destroy(self._ring)
            self._ring = ffi.NULL


def explain(action: str, outcome: Outcome) -> str:
    """Why it did not end well, for a log."""
    if outcome.error:
        return str(KernelError(action, outcome.error))
    return f"{action}: {os.strerror(0)}: only {outcome.done_bytes} bytes were there"
