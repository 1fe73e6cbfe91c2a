"""The side of the device, with a link to each frontend."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from tiermem.errors import (
    KernelError,
    MissingError,
    NoSpaceError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib
from tiermem.oasis.storage.device import Device, open_device
from tiermem.oasis.storage.slices import Slice, check_slice
from tiermem.service.config import Settings

SLICES_MAX: int = lib.STORAGE_SLICES_MAX
"""Of a link."""

_LOOK_S = 0.001


class BackendSettings(Settings):
    """path: the block device or file. is_write_through: what is written is durable when it
    completes, so that nothing is lost that an instance has not flushed when this host dies."""

    path: Path
    is_direct: bool = True
    is_write_through: bool = False
    lock_timeout_s: float = Field(default=10, ge=0, le=3600)
    sleep_max_us: int = Field(default=1000, ge=0, le=100_000)


@dataclass(frozen=True, slots=True)
class BackendCounters:
    """completed: commands that were run; failed: those of them that the device had an error
    for; refused: not run; completions_lost: the frontend does not take them."""

    completed: int
    failed: int
    refused: int
    completions_lost: int


class Backend:
    """A thread that runs the commands of links on a device, until `close`."""

    def __init__(self, settings: BackendSettings) -> None:
        """Start, with no links. See `open_device` for errors; KernelError without io_uring."""
        self.settings = settings
        self.device = open_device(
            settings.path, is_direct=settings.is_direct, lock_timeout_s=settings.lock_timeout_s
        )
        self._native: Any = lib.storage_backend_create(
            _native_device(self.device, settings), settings.sleep_max_us * 1000
        )
        if self._native == ffi.NULL:
            code = ffi.errno
            self.device.close()
            raise KernelError("make an io_uring", code)
        self._links: dict[int, Area] = {}
        self._slices: dict[tuple[int, int], Slice] = {}
        self._thread = threading.Thread(target=lib.storage_backend_run, args=(self._native,))
        self._thread.start()

    def add_link(self, area: Area, slices: Mapping[int, Slice]) -> int:
        """Serve the frontend of the link in that area; the link's number.

        slices: by number, as `add_slice`; a frontend that was connected anew has commands for
        them in the link already.

        MissingError where there is none, NoSpaceError with too many, TiermemError where its
        blocks are smaller than the device's.
        """
        if not self._thread.is_alive():
            raise TiermemError(f"the backend of {self.settings.path}: was closed")
        address = ffi.cast("void *", area.address)
        number = int(
            lib.storage_backend_add_link(self._native, address, area.bytes, area.generation)
        )
        code = ffi.errno
        if number < 0:
            raise self._link_error(area, code)
        self._links[number] = area
        try:
            for which, wanted in slices.items():
                self.add_slice(number, which, wanted)
        except TiermemError:
            self.remove_link(number)
            raise
        lib.storage_backend_serve_link(self._native, number)
        return number

    def remove_link(self, number: int, timeout_s: float = 60) -> None:
        """Take no more of its commands, and wait until those in flight have ended: its area
        may be closed then. TimeoutExpiredError where the device does not end them."""
        self._check_link(number)
        _until(
            lambda: lib.storage_backend_remove_link(self._native, number),
            f"link {number}",
            timeout_s,
        )
        del self._links[number]
        self._slices = {key: held for key, held in self._slices.items() if key[0] != number}

    def add_slice(self, link: int, number: int, wanted: Slice) -> None:
        """What commands of a link mean by slice `number`, from 0 to SLICES_MAX - 1.

        TiermemError where there is one of that number, or this one is not on the device, or
        another has some of it.
        """
        self._check_link(link)
        if not 0 <= number < SLICES_MAX or (link, number) in self._slices:
            raise TiermemError(
                f"slice {number} of link {link}: a free one from 0 to {SLICES_MAX - 1} is allowed"
            )
        block_bytes = int(lib.storage_backend_block_bytes(self._native, link))
        check_slice(wanted, self._slices.values(), self.device.bytes, block_bytes)
        native = ffi.new("struct storage_slice *")
        native.offset_bytes = wanted.offset_bytes
        native.blocks = wanted.bytes // block_bytes
        native.is_read_only = wanted.is_read_only
        if lib.storage_backend_add_slice(self._native, link, number, native) < 0:
            raise TiermemError(f"slice {number} of link {link}: {wanted} cannot be had now")
        self._slices[link, number] = wanted

    def remove_slice(self, link: int, number: int, timeout_s: float = 60) -> None:
        """Take no more commands for it, and wait until those in flight have ended: its blocks
        may be somebody else's then. TimeoutExpiredError where the device does not end them."""
        self._check_link(link)
        if (link, number) not in self._slices:
            raise TiermemError(f"slice {number} of link {link}: there is none of that number")
        _until(
            lambda: lib.storage_backend_remove_slice(self._native, link, number),
            f"slice {number} of link {link}",
            timeout_s,
        )
        del self._slices[link, number]

    def counters(self, link: int) -> BackendCounters:
        """Of a link, since it was added."""
        self._check_link(link)
        found = lib.storage_backend_counters(self._native, link)
        return BackendCounters(found.completed, found.failed, found.refused, found.completions_lost)

    def close(self) -> None:
        """Stop, wait for what is in flight, and leave all links."""
        if self._thread.is_alive():
            lib.storage_backend_stop(self._native)
            self._thread.join()
            lib.storage_backend_destroy(self._native)
            self.device.close()
            self._links.clear()

    def _link_error(self, area: Area, code: int) -> TiermemError:
        name = area.entry.name
        if code == errno.ENOENT:
            return MissingError(f"the link in {name!r}: there is none, it has to be made first")
        if code == errno.EINVAL:
            return TiermemError(
                f"the link in {name!r}: {self.settings.path} has blocks of "
                f"{self.device.block_bytes} bytes; those of a link must not be smaller"
            )
        if code == errno.ENOSPC:
            return NoSpaceError(f"{self.settings.path}: has {lib.STORAGE_LINKS_MAX} links already")
        return KernelError(f"add the link in {name!r}", code)

    def _check_link(self, number: int) -> None:
        if number not in self._links:
            raise TiermemError(f"link {number}: there is none of that number")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _until(is_idle: Callable[[], bool], what: str, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_idle():
        if time.monotonic() >= deadline_s:
            raise TimeoutExpiredError(f"{what}: has had commands in flight for {timeout_s} s")
        time.sleep(_LOOK_S)


def _native_device(device: Device, settings: BackendSettings) -> Any:
    native = ffi.new("struct storage_device *")
    native.fd = device.fd
    native.block_bytes = device.block_bytes
    native.bytes = device.bytes
    native.is_write_through = settings.is_write_through
    return native
