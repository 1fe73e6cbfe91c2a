"""The device behind a backend: a block device, or a file, that nobody else may use."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import KernelError, MissingError, NoRightError, TimeoutExpiredError

# <linux/fs.h>
_BLKSSZGET = 0x1268
_BLKGETSIZE64 = 0x80081272
_SECTOR_BYTES = 512
# What every file system takes past the page cache.
_DIRECT_BYTES = 4096
_LOOK_S = 0.01


@dataclass(frozen=True, slots=True)
class Device:
    """An open one. block_bytes: what it reads and writes at once, at least."""

    fd: int
    bytes: int
    block_bytes: int
    is_direct: bool

    def close(self) -> None:
        """Let another backend have it, once what it still does has ended."""
        os.close(self.fd)


def open_device(path: Path, *, is_direct: bool, lock_timeout_s: float) -> Device:
    """Open it past the page cache if `is_direct` and it can, and lock it.

    The lock (flock) goes with the last request in flight, also of a process that was
    killed: a backend that takes over cannot be overtaken by what its predecessor began.
    MissingError, NoRightError, KernelError; TimeoutExpiredError where another one has it.
    """
    fd, is_direct = _open(path, is_direct)
    try:
        _lock(fd, path, lock_timeout_s)
        size, block_bytes = _measure(fd, is_direct)
    except BaseException:
        os.close(fd)
        raise
    return Device(fd, size, block_bytes, is_direct)


def _open(path: Path, is_direct: bool) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_DIRECT if is_direct else 0)
    try:
        # A block device that is mounted, or part of another, is refused (EBUSY).
        if stat.S_ISBLK(path.stat().st_mode):
            flags |= os.O_EXCL
        return os.open(path, flags), is_direct
    except FileNotFoundError:
        raise MissingError(f"{path}: there is no such device or file") from None
    except PermissionError:
        raise NoRightError(f"{path}: may not be opened for reading and writing") from None
    except OSError as error:
        code = error.errno or errno.EIO
        if code == errno.EINVAL and is_direct:
            return _open(path, False)
        raise KernelError(f"open {path}", code) from None


def _lock(fd: int, path: Path, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                raise TimeoutExpiredError(
                    f"{path}: another process has had it for {timeout_s} s"
                ) from None
            time.sleep(_LOOK_S)
        else:
            return


def _measure(fd: int, is_direct: bool) -> tuple[int, int]:
    """bytes of the device, and of its blocks."""
    found = os.fstat(fd)
    if not stat.S_ISBLK(found.st_mode):
        return found.st_size, _DIRECT_BYTES if is_direct else _SECTOR_BYTES
    size = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))[0]
    block_bytes = struct.unpack("i", fcntl.ioctl(fd, _BLKSSZGET, bytes(4)))[0]
    return size, block_bytes
