"""The memory behind a pool: a devdax device of the CXL memory, or a file, mapped as a whole."""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path

from tiermem.errors import KernelError, MissingError, NoRightError, NoSpaceError, TiermemError
from tiermem.native._pool import ffi

# A devdax device maps in units of its alignment; no device is aligned to more than this.
_DEVICE_ALIGN_BYTES = 2 << 20


class Mapping:
    """`bytes` of shared memory at `address`; `buffer` is the same for Python.

    physical_start: where a device's memory lies; None for a file.
    """

    def __init__(self, path: Path, *, sysfs: Path = Path("/sys")) -> None:
        """Map the whole of `path`. MissingError, NoRightError or KernelError with its name."""
        self.path = path
        handle = _open(path)
        try:
            self.bytes = _size(path, handle, sysfs)
            self.physical_start = _physical_start(path, handle, sysfs)
            self.buffer = _map(path, handle, self.bytes)
        finally:
            os.close(handle)
        pinned = ffi.from_buffer("uint8_t[]", self.buffer, require_writable=True)
        self.address = int(ffi.cast("uintptr_t", pinned))
        ffi.release(pinned)

    def view(self, offset: int, size: int, *, writable: bool = False) -> memoryview:
        """That part of it, without a copy."""
        whole = memoryview(self.buffer)
        part = whole[offset : offset + size]
        return part if writable else part.toreadonly()

    def close(self) -> None:
        """Unmap. TiermemError while somebody still has a view of it."""
        try:
            self.buffer.close()
        except BufferError:
            raise TiermemError(
                f"{self.path}: cannot be closed: views of its extents are still in use"
            ) from None


def make_file(path: Path, size: int) -> None:
    """A new file of `size` bytes, all of them really there: a full disk shows now, not later.

    NoSpaceError or KernelError; then no file is left.
    """
    try:
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < size:
            raise NoSpaceError(
                f"{path}: {size} bytes are wanted, {path.parent} has "
                f"{disk.f_bavail * disk.f_frsize} free"
            )
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KernelError(f"make {path}", error.errno or 0) from None
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        path.unlink()
        raise KernelError(f"make {path} of {size} bytes", error.errno or 0) from None
    finally:
        os.close(handle)


def is_device(path: Path) -> bool:
    """Whether it is a character device, as devdax is."""
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MissingError(f"{path}: is not there; `tiermem pool create` makes a pool") from None
    except PermissionError:
        raise NoRightError(f"{path}: not readable and writable for this user") from None
    except OSError as error:
        raise KernelError(f"open {path}", error.errno or 0) from None


def _attribute(path: Path, handle: int, sysfs: Path, name: str) -> int:
    """A number that sysfs has of a devdax device."""
    found = os.fstat(handle)
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    try:
        return int((sysfs / "dev/char" / number / name).read_text(), 0)
    except (OSError, ValueError):
        raise TiermemError(f"{path}: is no devdax device") from None


def _physical_start(path: Path, handle: int, sysfs: Path) -> int | None:
    if not stat.S_ISCHR(os.fstat(handle).st_mode):
        return None
    return _attribute(path, handle, sysfs, "resource")


def _size(path: Path, handle: int, sysfs: Path) -> int:
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode):
        size = found.st_size
    elif stat.S_ISCHR(found.st_mode):
        size = _attribute(path, handle, sysfs, "size")
        size -= size % _DEVICE_ALIGN_BYTES
    else:
        raise TiermemError(f"{path}: is neither a devdax device nor a file")
    if size == 0:
        raise TiermemError(f"{path}: is empty")
    return size


def _map(path: Path, handle: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(handle, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError as error:
        raise KernelError(f"map {size} bytes of {path}", error.errno or 0) from None
