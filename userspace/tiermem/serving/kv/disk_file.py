"""The SSD tier's one file: a page that says what it is, then places for records.

Nothing in it has to be written before anything else: a place counts as a block only where
its record is whole (see `record`), and whoever opens the file reads all headers again. So
nothing is lost but blocks when the process or the power goes, whenever that is.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator
from errno import EDQUOT, EFBIG, EINVAL, ENOSPC, ENXIO, EROFS
from pathlib import Path

from tiermem.errors import ConfigError, KernelError, MissingError, NoSpaceError
from tiermem.serving.kv.keys import KEY_BYTES
from tiermem.serving.kv.record import (
    PAGE_BYTES,
    Header,
    RecordShape,
    checksum,
    read_header,
)

_MAGIC = b"tiermSSD"
_VERSION = 1
# What the kernel says where nothing more fits.
FULL = (ENOSPC, EDQUOT, EFBIG)
# The kernel ends what a killed process had under way, and closes its files, after it is gone.
_LOCK_S = 1.0
# Magic, version, bytes of a record, identity of the engine; then the checksum of all that.
_FIRST = struct.Struct(f"<8sIQ{KEY_BYTES}s")


class DiskFile:
    """`capacity_bytes` is never exceeded, the first page included; `fd` is for whole pages only.

    is_begun: its first page is there.
    """

    def __init__(
        self, path: Path, capacity_bytes: int, shape: RecordShape, identity: bytes
    ) -> None:
        """Takes over what is there of the same engine, and starts anew where it is another's.

        ConfigError for a file that is no such file, and for one that a process has open;
        NoSpaceError where no block fits; KernelError.
        """
        self.path, self.shape = path, shape
        self.places = (capacity_bytes - PAGE_BYTES) // shape.bytes
        if self.places < 1:
            raise NoSpaceError(
                f"{path}: {capacity_bytes} bytes: one KV block of this engine takes "
                f"{PAGE_BYTES + shape.bytes} in its file"
            )
        self.fd, self.is_direct, self.is_writable = _open(path)
        self._page = _first_page(shape, identity)
        self.is_begun = False
        try:
            self._lock()
            self._take_over()
        except BaseException:
            os.close(self.fd)
            raise

    @property
    def written_places(self) -> int:
        """How many the file is long enough for now."""
        return min(self.places, max(0, os.fstat(self.fd).st_size - PAGE_BYTES) // self.shape.bytes)

    def begin(self) -> bool:
        """Write the first page, where it is not there; False while the disk is full. No place
        may be written before. KernelError."""
        if self.is_begun:
            return True
        try:
            with _plain(self.path, os.O_WRONLY) as fd:
                os.ftruncate(fd, 0)
                self.is_begun = os.pwrite(fd, self._page, 0) == PAGE_BYTES
                # Once a file: without its page, and with others, it would be taken for foreign.
                os.fsync(fd)
        except OSError as error:
            if error.errno not in FULL:
                raise KernelError(f"begin {self.path}", error.errno or 0) from None
        return self.is_begun

    def offset(self, place: int) -> int:
        """Where a place begins."""
        return PAGE_BYTES + place * self.shape.bytes

    def headers(self) -> Iterator[tuple[int, Header]]:
        """Places whose records may be whole. Their pieces were not looked at."""
        if not self.is_begun:
            return
        with _plain(self.path) as fd:
            # Nothing but headers: no reading ahead.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            for place in range(self.written_places):
                try:
                    data = os.pread(fd, self.shape.header_bytes, self.offset(place))
                except OSError:
                    continue
                header = read_header(data, self.shape)
                if header is not None:
                    yield place, header

    def cut_all(self) -> None:
        """No place was ever written. KernelError: a file that cannot be is not to be used on."""
        if not self.is_writable:
            raise KernelError(f"{self.path}: forget what it has", EROFS)
        if os.fstat(self.fd).st_size > PAGE_BYTES:
            os.ftruncate(self.fd, PAGE_BYTES)

    def close(self) -> None:
        """Another process may have it."""
        os.close(self.fd)

    def _lock(self) -> None:
        deadline_s = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    break
            time.sleep(_LOCK_S / 50)
        raise ConfigError(
            f"{self.path}: another process has it open: each engine needs a file of its own"
        )

    def _take_over(self) -> None:
        try:
            with _plain(self.path) as fd:
                found = os.pread(fd, PAGE_BYTES, 0)
                is_others = is_foreign(fd)
        except OSError as error:
            raise KernelError(f"read {self.path}", error.errno or 0) from None
        if found == self._page:
            self.is_begun = True
            self._cut()
        elif is_others:
            raise ConfigError(f"{self.path}: is a file of something else: name another path")
        elif not self.is_writable:
            self.places = 0
        else:
            self.begin()

    def _cut(self) -> None:
        """Of what is more than the capacity, and of a record that is there in part only."""
        limit = self.offset(self.written_places)
        if self.is_writable and os.fstat(self.fd).st_size > limit:
            os.ftruncate(self.fd, limit)


def is_foreign(fd: int) -> bool:
    """Whether a file is of something else, and must be left as it is. One that somebody made
    ahead, with room and nothing in it, is not; images of disks begin with zeros as well."""
    begin = os.pread(fd, PAGE_BYTES, 0)
    if begin.startswith(_MAGIC):
        return False
    if begin.strip(b"\0"):
        return True
    try:
        return os.lseek(fd, 0, os.SEEK_DATA) >= 0 and os.fstat(fd).st_size > PAGE_BYTES
    except OSError as error:
        if error.errno == ENXIO:  # no data up to the end
            return False
        raise


class _plain:  # noqa: N801
    """A descriptor of the file without direct I/O, for small things."""

    def __init__(self, path: Path, flags: int = os.O_RDONLY) -> None:
        self._fd = os.open(path, flags | os.O_CLOEXEC)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _open(path: Path) -> tuple[int, bool, bool]:
    """A descriptor, whether it moves data past the page cache, and whether it can be written."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd, is_direct = _open_direct(path, flags)
        is_writable = True
    except OSError as error:
        if error.errno != EROFS:
            raise _explained(path, error) from None
        try:
            fd, is_direct = _open_direct(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as gone:
            raise _explained(path, gone) from None
        is_writable = False
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConfigError(f"{path}: is no ordinary file")
    return fd, is_direct, is_writable


def _open_direct(path: Path, flags: int) -> tuple[int, bool]:
    try:
        return os.open(path, flags | os.O_DIRECT, 0o600), True
    except OSError as error:
        if error.errno != EINVAL:  # what file systems say that have none
            raise
        return os.open(path, flags, 0o600), False


def _explained(path: Path, error: OSError) -> Exception:
    if isinstance(error, FileNotFoundError):
        return MissingError(f"{path}: its folder does not exist, or it is read-only and empty")
    if isinstance(error, IsADirectoryError):
        return ConfigError(f"{path}: is a folder: a file in it is needed")
    return KernelError(f"open {path}", error.errno or 0)


def _first_page(shape: RecordShape, identity: bytes) -> bytes:
    head = _FIRST.pack(_MAGIC, _VERSION, shape.bytes, identity)
    head += struct.pack("<I", checksum(head))
    return head.ljust(PAGE_BYTES, b"\0")
