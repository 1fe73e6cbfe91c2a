"""A slice of another host's SSD as a block device of this one: /dev/ublkbN.

    with BlockDevice(area, BlockDeviceSettings(bytes=10 << 30)) as device:
        subprocess.run(["mkfs.ext4", device.path])

The data path is a thread in native/ublk_server.h, on the frontend's end of a link. The
kernel keeps the device when that thread's process dies, and holds its users' requests back
until another process takes it over (`recovers`).
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from tiermem.errors import KernelError, MissingError, TiermemError, TimeoutExpiredError
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib
from tiermem.oasis.storage.frontend import (
    Frontend,
    FrontendCounters,
    Opcode,
    Request,
    Status,
    link_error,
)
from tiermem.oasis.storage.ublk import OWNERS, UblkControl, UblkDevice, block_path, char_path
from tiermem.service.config import Settings

_SLICES_MAX: int = lib.STORAGE_SLICES_MAX


class BlockDeviceSettings(Settings):
    """bytes: of the slice. is_write_through: the backend is, so that there is no cache to flush.
    timeout_s: how long a request may wait for a backend before it fails; 0: for ever.
    answer_timeout_s: how long the backend may take for the first answer, before there is a
    device. owner: who it is for (`UblkDevice`)."""

    bytes: int = Field(gt=0)
    owner: int = Field(default=0, ge=0, lt=OWNERS)
    slice: int = Field(default=0, ge=0, lt=_SLICES_MAX)
    is_read_only: bool = False
    is_write_through: bool = False
    timeout_s: float = Field(default=0, ge=0, le=86400)
    answer_timeout_s: float = Field(default=10, ge=0, le=3600)
    recovery_timeout_s: float = Field(default=10, ge=0, le=3600)
    sleep_max_us: int = Field(default=1000, ge=0, le=100_000)


@dataclass(frozen=True, slots=True)
class BlockDeviceCounters:
    """requests: of the kernel's; failed: those of them that ended in an error."""

    requests: int
    failed: int
    frontend: FrontendCounters


class BlockDevice:
    """A block device, served by a thread of this process until `close` or `leave`."""

    def __init__(
        self, area: Area, settings: BlockDeviceSettings, *, recovers: int | None = None
    ) -> None:
        """Make one, over the link in `area`, or take over the one whose number is `recovers`.

        Of one that is taken over the last server has gone, within recovery_timeout_s, and the
        last link too: the backend serves the slice at this one only. What was in flight is
        submitted again.

        MissingError without a link, a device of that number or the kernel's module;
        TimeoutExpiredError where no backend answers, since the kernel reads a new device and
        waits; TiermemError for a slice that is smaller, and for a device that is another's or
        of another kind; KernelError.
        """
        self.settings = settings
        with ExitStack() as stack:
            self._control = stack.enter_context(UblkControl())
            self._frontend = stack.enter_context(
                Frontend(
                    area, timeout_s=settings.timeout_s, sleep_max_s=settings.sleep_max_us / 1e6
                )
            )
            wanted = _device_of(self._frontend, settings)
            if recovers is None:
                _check_answers(self._frontend, area, settings)
                self.number = self._control.add(wanted)
                stack.callback(self._control.delete, self.number)
            else:
                self.number = recovers
                _check_fits(recovers, self._control.find(recovers), wanted)
                self._control.wait_without_server(recovers, settings.recovery_timeout_s)
                _check_answers(self._frontend, area, settings)
                self._control.begin_recovery(recovers, settings.recovery_timeout_s)
            depth = self._control.find(self.number).depth
            self._native = self._serve(stack, depth)
            if recovers is None:
                self._control.start(self.number)
            else:
                self._control.end_recovery(self.number)
            stack.pop_all()

    def _serve(self, stack: ExitStack, depth: int) -> Any:
        """Begin to fetch requests; what ends it again goes to the stack."""
        char = char_path(self.number)
        try:
            self._char_fd = os.open(char, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(f"open {char}", error.errno or errno.EIO) from None
        stack.callback(os.close, self._char_fd)
        native = lib.ublk_server_create(
            self._char_fd,
            depth,
            self.settings.slice,
            self._frontend.native,
            self.settings.sleep_max_us * 1000,
        )
        if native == ffi.NULL:
            raise KernelError(f"serve {self.path}", ffi.errno)
        stack.callback(lib.ublk_server_destroy, native)
        self._thread = threading.Thread(target=lib.ublk_server_run, args=(native,))
        self._thread.start()
        stack.callback(self._thread.join)
        stack.callback(lib.ublk_server_stop, native)
        return native

    @property
    def path(self) -> Path:
        """The device's node."""
        return block_path(self.number)

    @property
    def is_served(self) -> bool:
        """False once it was closed or left, or somebody else has deleted it."""
        return self._thread.is_alive()

    @property
    def counters(self) -> BlockDeviceCounters:
        """Since this process has served it."""
        self._check_open()
        found = lib.ublk_server_counters(self._native)
        frontend = found.frontend
        return BlockDeviceCounters(
            found.requests,
            found.failed,
            FrontendCounters(
                frontend.submitted,
                frontend.completed,
                frontend.timed_out,
                frontend.resubmitted,
                frontend.refused,
            ),
        )

    def reconnect(self, area: Area) -> None:
        """Go on at another link of the same sizes, to another backend; what is pending is
        submitted there. The old area may be closed then. MissingError, TiermemError."""
        self._check_open()
        address = ffi.cast("void *", area.address)
        if lib.ublk_server_reconnect(self._native, address, area.bytes, area.generation) < 0:
            raise link_error(area, ffi.errno)

    def close(self, *, is_forced: bool = False) -> None:
        """Flush it and delete it. TiermemError where it is in use, mounted for example.

        is_forced: also then, and without a flush, for which a backend is needed: what was not
        flushed is lost, and what its users ask for fails.
        """
        if self._native == ffi.NULL:
            return
        if not is_forced and self.is_served:
            self._flush_and_stop()
        self._end_serving()
        with self._control, suppress(MissingError):
            self._control.delete(self.number)

    def leave(self) -> None:
        """Serve it no more, and let its users wait for who takes it over, as when this process
        dies."""
        if self._native != ffi.NULL:
            self._end_serving()
            self._control.close()

    def _flush_and_stop(self) -> None:
        flags = os.O_RDONLY if self.settings.is_read_only else os.O_RDWR
        try:
            # Nobody can begin to use it before it is stopped.
            fd = os.open(self.path, flags | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise TiermemError(f"{self.path}: is in use; unmount it first") from None
            raise KernelError(f"open {self.path}", error.errno or errno.EIO) from None
        try:
            os.fsync(fd)
        except OSError as error:
            raise KernelError(f"flush {self.path}", error.errno or errno.EIO) from None
        else:
            self._control.stop(self.number)
        finally:
            os.close(fd)

    def _end_serving(self) -> None:
        lib.ublk_server_stop(self._native)
        self._thread.join()
        lib.ublk_server_destroy(self._native)
        self._native = ffi.NULL
        os.close(self._char_fd)
        self._frontend.close()

    def _check_open(self) -> None:
        if self._native == ffi.NULL:
            raise TiermemError(f"{self.path}: was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self.close(is_forced=kind is not None)


def delete_abandoned(number: int, timeout_s: float = 10) -> None:
    """Delete a device whose server has died, or will have within timeout_s, and that nobody is
    to take over: what its users ask for fails. MissingError, TiermemError, KernelError."""
    with UblkControl() as control:
        control.find(number)
        control.wait_without_server(number, timeout_s)
        control.delete(number)


def _device_of(frontend: Frontend, settings: BlockDeviceSettings) -> UblkDevice:
    if settings.bytes % frontend.block_bytes:
        raise TiermemError(
            f"a block device of {settings.bytes} bytes: multiples of the link's blocks, "
            f"{frontend.block_bytes} bytes, are allowed"
        )
    return UblkDevice(
        depth=frontend.tags,
        block_bytes=frontend.block_bytes,
        request_bytes_max=frontend.buffer_bytes,
        bytes=settings.bytes,
        is_read_only=settings.is_read_only,
        has_cache=not settings.is_write_through,
        owner=settings.owner,
    )


def _check_answers(frontend: Frontend, area: Area, settings: BlockDeviceSettings) -> None:
    """That there is a backend, whose slice is as large as the device is to be."""
    last = settings.bytes // frontend.block_bytes - 1
    frontend.submit(Request(Opcode.READ, lba=last, blocks=1, slice=settings.slice))
    done = frontend.wait(settings.answer_timeout_s)
    where = f"the link in {area.entry.name!r}"
    if not done or done[0].status is Status.PATH_ERROR:
        raise TimeoutExpiredError(f"{where}: no backend has answered in time")
    if done[0].status is not Status.OK:
        raise TiermemError(
            f"{where}: the last of {settings.bytes} bytes of slice {settings.slice} cannot be "
            f"read: {done[0].status.name}"
        )


def _check_fits(number: int, there: UblkDevice, wanted: UblkDevice) -> None:
    """TiermemError where its users would not find what they had."""
    for name in ("bytes", "block_bytes", "is_read_only", "has_cache", "owner"):
        had, has = getattr(there, name), getattr(wanted, name)
        if had != has:
            raise TiermemError(f"{block_path(number)}: its {name} is {had}, and would be {has}")
    for name in ("depth", "request_bytes_max"):
        had, has = getattr(there, name), getattr(wanted, name)
        if had > has:
            raise TiermemError(
                f"{block_path(number)}: its {name} is {had}, and the link allows {has}"
            )
