"""The bytes of another process: /proc/PID/mem, whatever the protection of its pages."""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tiermem.errors import KernelError
from tiermem.layer.pages.mappings import process_error
from tiermem.native._fork import ffi, lib

Mask = npt.NDArray[np.bool_]


class Memory:
    """An open /proc/PID/mem."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        path = f"/proc/{pid}/mem"
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise process_error(error, pid, f"open {path}") from error

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes; KernelError where they are not all there."""
        buffer = bytearray(size)
        self.read_into(address, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, address: int, buffer: memoryview) -> None:
        """Fill a buffer of bytes."""
        done = 0
        while done < len(buffer):
            done += self._move(os.preadv, address + done, buffer[done:])

    def write(self, address: int, data: bytes) -> None:
        """Write to it, also where the process may not."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            done += self._move(os.pwritev, address + done, view[done:])

    def not_zero(self, address: int, held: Mask) -> Mask:
        """Which of the pages from there on that are `held` are not all zeros."""
        found = held.astype(np.uint8)
        with ffi.from_buffer("uint8_t[]", found, require_writable=True) as bytes_:
            err = lib.page_scan(self.pid, self._fd, address, len(found), bytes_)
        if err:
            action = f"look at {len(found)} pages from {address:#x}"
            raise KernelError(f"process {self.pid}: {action}", -err)
        return found.view(np.bool_)

    def _move(self, call: Any, address: int, part: memoryview) -> int:
        try:
            count = int(call(self._fd, [part], address))
        except OSError as error:
            action = f"memory of {len(part)} bytes at {address:#x}"
            raise KernelError(f"process {self.pid}: {action}", error.errno or 0) from error
        if count == 0:
            raise process_error(ProcessLookupError(), self.pid, "memory")
        return count

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
