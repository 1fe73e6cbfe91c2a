"""An open SSD, or file, as its table of slices reads, writes and zeroes it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable

from tiermem.errors import KernelError
from tiermem.oasis.storage.device import Device

# <linux/falloc.h>
_KEEP_SIZE = 1
_PUNCH_HOLE = 2
_ZERO_RANGE = 16
_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_WRITTEN_AT_ONCE = 1 << 20

_fallocate: Callable[[int, int, int, int], int] = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (  # type: ignore[attr-defined]
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_int64,
)


class OpenDisk:
    """See `slice_table.Disk`; sizes and places are multiples of the device's blocks but for
    what is written, which zeros follow."""

    def __init__(self, device: Device) -> None:
        self._device = device

    @property
    def size_bytes(self) -> int:
        """All that it has."""
        return self._device.bytes

    def read(self, at: int, size: int) -> bytes:
        """Past its end: less."""
        with mmap.mmap(-1, size) as buffer:
            done = self._do("read", lambda: os.preadv(self._device.fd, [buffer], at))
            return bytes(buffer[:done])

    def write(self, at: int, data: bytes) -> None:
        """And flush the drive's cache."""
        block_bytes = self._device.block_bytes
        with mmap.mmap(-1, -(-len(data) // block_bytes) * block_bytes) as buffer:
            buffer[: len(data)] = data
            self._write_all(at, buffer)
        self._flush()

    def zero(self, at: int, size: int) -> None:
        """By the drive where it can: with blocks given back where those read as zeros, else
        as it likes. Where it cannot they are written."""
        if not (self._falls_to(_PUNCH_HOLE, at, size) or self._falls_to(_ZERO_RANGE, at, size)):
            with mmap.mmap(-1, _WRITTEN_AT_ONCE) as zeros:
                for begin in range(at, at + size, _WRITTEN_AT_ONCE):
                    rest = min(_WRITTEN_AT_ONCE, at + size - begin)
                    with memoryview(zeros)[:rest] as some:
                        self._write_all(begin, some)
        self._flush()

    def _falls_to(self, mode: int, at: int, size: int) -> bool:
        if _fallocate(self._device.fd, mode | _KEEP_SIZE, at, size) == 0:
            return True
        code = ctypes.get_errno()
        if code in _CANNOT:
            return False
        raise KernelError(f"zero bytes {at} to {at + size} of the SSD", code)

    def _write_all(self, at: int, data: mmap.mmap | memoryview) -> None:
        wanted = len(data)
        done = self._do("write", lambda: os.pwritev(self._device.fd, [data], at))
        if done != wanted:
            raise KernelError(f"write {wanted} bytes at {at} of the SSD", errno.EIO)

    def _flush(self) -> None:
        self._do("flush", lambda: os.fdatasync(self._device.fd))

    def _do(self, action: str, call: Callable[[], int | None]) -> int:
        try:
            return call() or 0
        except OSError as error:
            raise KernelError(f"{action} the SSD's slices", error.errno or errno.EIO) from None
