"""Extents in use: one that is being filled, and one that is held to be read."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tiermem.errors import DamagedError, NoSpaceError, TiermemError
from tiermem.layer.pool.directory import AREA_KIND, Entry, check_name
from tiermem.layer.pool.local import ExtentId
from tiermem.native._pool import ffi, lib

if TYPE_CHECKING:
    from tiermem.layer.pool.pool import Pool

# While another host claims the same name, its turn comes in about this time.
_TURN_S = 0.001


class Draft:
    """Space that was reserved: fill it, then `publish`. Left without, it is given back.

    Fill it from its begin by `append`, or through `view`, in any order.
    """

    def __init__(self, pool: Pool, extent: ExtentId, offset: int, size: int) -> None:
        self._pool = pool
        self.extent, self.offset, self.bytes = extent, offset, size
        self._filled = 0
        self._checksum = 0
        self._is_viewed = False
        self._is_open = True

    def append(self, data: Any) -> None:
        """Copy a contiguous buffer in, past the cache, behind what was appended before."""
        source = ffi.from_buffer(data)
        size = len(source)
        if size > self.bytes - self._filled:
            raise NoSpaceError(
                f"{self.bytes} bytes were reserved: {size} do not fit behind {self._filled}"
            )
        target = ffi.cast("uint8_t *", self._pool.address_of(self.offset + self._filled))
        self._checksum = lib.pool_copy_checked(self._checksum, target, source, size)
        self._filled += size

    def view(self) -> memoryview:
        """All of it, to be written to in place; its cache lines are written back at the end."""
        self._is_viewed = True
        return self._pool.view_of(self.offset, self.bytes, writable=True)

    def publish(self, name: str, *, kind: int = 0) -> Entry:
        """Make it an extent that all hosts can find. NameTakenError where there is one."""
        self._check(name)
        if kind == AREA_KIND:
            raise TiermemError(f"{name}: kind = {kind:#x} is that of areas: take another")
        self._finish()
        return self._settle(name, self._checksum, kind)

    def publish_area(self, name: str) -> Entry:
        """Make it an area of zeros, whatever it was filled with. NameTakenError."""
        self._check(name)
        self._pool.directory.clear(self.extent)
        return self._settle(name, 0, AREA_KIND)

    def _check(self, name: str) -> None:
        check_name(name)
        if not self._is_open:
            raise TiermemError(f"{name}: the draft was published or given back already")

    def _settle(self, name: str, checksum: int, kind: int) -> Entry:
        directory = self._pool.directory
        with self._pool.alone():
            directory.claim(self.extent, name, checksum, kind, time.time_ns())
        while True:
            with self._pool.alone():
                self._pool.heed_the_dead()
                if directory.settle(self.extent, name):
                    break
            time.sleep(_TURN_S)
        self._is_open = False
        with self._pool.alone():
            found = directory.find(name)
        if found is None or found.extent != self.extent:
            raise TiermemError(f"{name}: was removed as soon as it was published")
        return found

    def _finish(self) -> None:
        """Sum up what did not come through `append`, and have all of it in memory."""
        address = ffi.cast("uint8_t *", self._pool.address_of(self.offset))
        if self._is_viewed or self._filled < self.bytes:
            # To be summed from memory: what is cached of space that was an area may be older.
            lib.pool_copy_invalidate(address, self.bytes)
            lib.pool_copy_fence()
            self._checksum = lib.pool_checksum(0, address, self.bytes)
        lib.pool_copy_fence()

    def give_back(self) -> None:
        """Drop it, unless it is published."""
        if self._is_open:
            self._is_open = False
            self._pool.withdraw(self.extent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.give_back()


class Extent:
    """A published extent that this process holds; `release` it, or leave the `with` block."""

    def __init__(self, pool: Pool, entry: Entry) -> None:
        self._pool = pool
        self.entry = entry
        self._is_held = True

    @property
    def address(self) -> int:
        """Where it lies in this process."""
        return self._pool.address_of(self.entry.offset)

    def view(self) -> memoryview:
        """Its bytes, read-only, without a copy."""
        return self._pool.view_of(self.entry.offset, self.entry.bytes)

    def numpy(self, dtype: npt.DTypeLike = np.uint8) -> npt.NDArray[Any]:
        """The same as a one-dimensional array."""
        return np.frombuffer(self.view(), dtype=dtype)

    def torch(self, dtype: Any = None) -> Any:
        """The same as a tensor, which must not be written to."""
        import torch

        with warnings.catch_warnings():
            # It cannot be told that the memory is read-only.
            warnings.simplefilter("ignore", UserWarning)
            return torch.frombuffer(self.view(), dtype=dtype or torch.uint8)

    def verify(self) -> None:
        """DamagedError where the bytes are not those that were published."""
        found = lib.pool_checksum(0, ffi.cast("uint8_t *", self.address), self.entry.bytes)
        if found != self.entry.checksum:
            raise DamagedError(
                f"{self._pool.path}: extent {self.entry.name!r} is damaged: its {self.entry.bytes} "
                f"bytes at {self.entry.offset} sum to {found:08x}, not {self.entry.checksum:08x}"
            )

    def release(self) -> None:
        """Do not hold it any more; its views must not be used after."""
        if self._is_held:
            self._is_held = False
            self._pool.let_go(self.entry.extent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()
