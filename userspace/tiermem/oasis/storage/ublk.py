"""The kernel's block devices that a process serves (ublk), and their control.

native/ublk_control.h has the calls; `block_device` is what uses them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tiermem.errors import KernelError, MissingError, NoRightError, TiermemError
from tiermem.native._storage import ffi, lib

CONTROL = Path("/dev/ublk-control")
OWNERS = 1 << int(lib.UBLK_OWNER_BITS)
_LOOK_S = 0.01
# A request that takes longer makes Linux 6.12 look whether the server still lives: it learns of
# its death at once, unless all requests are with it.
_LOOK_FOR_SERVER_MS = 1000


@dataclass(frozen=True, slots=True)
class UblkDevice:
    """block_bytes: of a logical block; request_bytes_max: of data; depth: requests in flight;
    has_cache: what completes is durable only after a flush, or with FUA. owner: a number of
    whoever it is for, below OWNERS, by which it is found again; 0: nobody's."""

    depth: int
    block_bytes: int
    request_bytes_max: int
    bytes: int
    is_read_only: bool
    has_cache: bool
    owner: int = 0


def numbers() -> tuple[int, ...]:
    """Of all devices of ublk that there are, also of other programs."""
    paths = Path("/dev").glob("ublkc*")
    return tuple(sorted(int(one.name[5:]) for one in paths if one.name[5:].isdecimal()))


def block_path(number: int) -> Path:
    """What users open."""
    return Path(f"/dev/ublkb{number}")


def char_path(number: int) -> Path:
    """What the server opens."""
    return Path(f"/dev/ublkc{number}")


def queue_file(number: int, name: str) -> Path:
    """Where the kernel keeps a setting of its queue."""
    return Path(f"/sys/block/ublkb{number}/queue/{name}")


def _served_by_another(number: int) -> TiermemError:
    return TiermemError(f"{block_path(number)}: another process serves it")


class UblkControl:
    """/dev/ublk-control, open. Calls raise KernelError, and MissingError for a device that is
    not there; a call for which the kernel waits too long fails with ETIMEDOUT."""

    def __init__(self) -> None:
        """MissingError without the kernel's module, NoRightError."""
        try:
            self._fd = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise MissingError(
                f"{CONTROL}: is not there; load the kernel's module for it: modprobe ublk_drv"
            ) from None
        except PermissionError:
            raise NoRightError(f"{CONTROL}: may not be opened for reading and writing") from None

    def add(self, wanted: UblkDevice) -> int:
        """A device that is not started; its number."""
        native = ffi.new("struct ublk_device *")
        native.depth = wanted.depth
        native.block_bytes = wanted.block_bytes
        native.request_bytes_max = wanted.request_bytes_max
        native.bytes = wanted.bytes
        native.is_read_only = wanted.is_read_only
        native.has_cache = wanted.has_cache
        native.owner = wanted.owner
        code = -lib.ublk_add(self._fd, native)
        if code == errno.EOPNOTSUPP:
            raise MissingError("a block device by ublk: needs Linux 6.9 or newer")
        if code:
            raise KernelError("add a block device by ublk", code)
        return int(native.number)

    def find(self, number: int) -> UblkDevice:
        """What one of tiermem's devices is; TiermemError for another's."""
        native = self._find(number)
        if not native.is_ours:
            raise TiermemError(f"{block_path(number)}: is not one of tiermem's devices")
        return UblkDevice(
            native.depth,
            native.block_bytes,
            native.request_bytes_max,
            native.bytes,
            bool(native.is_read_only),
            bool(native.has_cache),
            int(native.owner),
        )

    def find_of(self, owner: int) -> int | None:
        """The number of tiermem's device that was added for `owner`."""
        for number in numbers():
            with contextlib.suppress(TiermemError):
                if self.find(number).owner == owner:
                    return number
        return None

    def is_stopped(self, number: int) -> bool:
        """Whether nobody can use it: who made it died before it was started, or had stopped
        it."""
        return bool(self._find(number).is_stopped)

    def wait_without_server(self, number: int, timeout_s: float) -> None:
        """Until its server has gone, and it waits for another one. TiermemError after that."""
        deadline_s = time.monotonic() + timeout_s
        while not self._find(number).is_without_server:
            if time.monotonic() >= deadline_s:
                raise _served_by_another(number)
            time.sleep(_LOOK_S)

    def start(self, number: int) -> None:
        """Its server, in this process, fetches its requests by now."""
        self._check(number, "start it", lib.ublk_start(self._fd, number, os.getpid()))
        try:
            queue_file(number, "io_timeout").write_text(str(_LOOK_FOR_SERVER_MS))
        except OSError as error:
            raise KernelError(f"set up {block_path(number)}", error.errno or errno.EIO) from None

    def stop(self, number: int) -> None:
        """What its users have not flushed is lost."""
        self._check(number, "stop it", lib.ublk_stop(self._fd, number))

    def delete(self, number: int) -> None:
        """What its users ask for fails from now on. Its number is free when they have closed
        it."""
        self._check(number, "delete it", lib.ublk_delete(self._fd, number))

    def begin_recovery(self, number: int, timeout_s: float) -> None:
        """Once its last server has gone, for which it waits; then it can be served again."""
        deadline_s = time.monotonic() + timeout_s
        while (result := lib.ublk_begin_recovery(self._fd, number)) == -errno.EBUSY:
            if time.monotonic() >= deadline_s:
                raise _served_by_another(number)
            time.sleep(_LOOK_S)
        self._check(number, "take it over", result)

    def end_recovery(self, number: int) -> None:
        """As `start`."""
        self._check(number, "go on with it", lib.ublk_end_recovery(self._fd, number, os.getpid()))

    def close(self) -> None:
        """Of the control, not of any device."""
        os.close(self._fd)

    def _find(self, number: int) -> Any:
        native = ffi.new("struct ublk_device *")
        self._check(number, "look at it", lib.ublk_find(self._fd, number, native))
        return native

    def _check(self, number: int, action: str, result: int) -> None:
        if result == -errno.ENODEV:
            raise MissingError(f"{block_path(number)}: there is no such device")
        if result < 0:
            raise KernelError(f"{block_path(number)}: {action}", -result)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
