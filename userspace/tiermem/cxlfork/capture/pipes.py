"""What a pipe holds, read without taking it out."""

from __future__ import annotations

import fcntl

from tiermem.cxlfork.capture.open_files import OpenFile
from tiermem.errors import KernelError
from tiermem.native._fork import ffi, lib


def pipe_extra(file: OpenFile) -> tuple[int, bytes]:
    """Its capacity, and what is in it; nothing from the end that writes."""
    with file.taken() as fd:
        capacity = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
        if file.flags & 3:
            return capacity, b""
        room = ffi.new("uint8_t[]", capacity)
        size = lib.process_fd_peek_pipe(fd, room, capacity)
    if size < 0:
        raise KernelError(f"process {file.pid}: read what {file.where} holds", -size)
    return capacity, bytes(ffi.buffer(room, size))
