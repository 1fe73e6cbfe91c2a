"""Random blocks of a file: by io_uring past the page cache, or through a storage link.

The loop is C (native/storage_load.h), the same for both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from tiermem.errors import DamagedError, KernelError, MissingError, TiermemError
from tiermem.layer.pool import Area
from tiermem.native._storage_load import ffi, lib

BLOCK_BYTES = int(lib.STORAGE_LOAD_BLOCK_BYTES)
MOST = 400_000
"""Operations of one measurement."""


@dataclass(frozen=True)
class Load:
    """depth: operations in flight; blocks: of the file."""

    is_write: bool
    depth: int
    blocks: int
    seconds: float
    seed: int


@dataclass(frozen=True)
class Done:
    """latencies_ns: of each operation."""

    latencies_ns: npt.NDArray[np.uint32]
    seconds: float

    @property
    def per_s(self) -> float:
        """Operations a second."""
        return len(self.latencies_ns) / self.seconds


def write_numbered(path: Path, blocks: int) -> None:
    """A file of random blocks that begin with their numbers, on its disk when this returns."""
    content = np.random.default_rng(1).integers(0, 1 << 63, (blocks, BLOCK_BYTES // 8), np.uint64)
    content[:, 0] = np.arange(blocks)
    with path.open("wb") as file:
        file.write(content.data)
        os.fsync(file.fileno())


class DirectDisk:
    """The file past the page cache. KernelError where it cannot be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(f"open {path} past the page cache", error.errno or 0) from None

    def run(self, load: Load) -> Done:
        """KernelError; TiermemError where operations fail."""
        return _run(load, str(self._path), lib.storage_load_direct, self._file)

    def close(self) -> None:
        """Once nothing is in flight."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class LinkedDisk:
    """Slice 0 of the link in that area. MissingError where it has not been made."""

    def __init__(self, area: Area, sleep_max_s: float = 0.001) -> None:
        self._area = area
        self._native = lib.storage_frontend_create(
            ffi.cast("void *", area.address), area.bytes, area.generation, 0, int(sleep_max_s * 1e9)
        )
        if self._native == ffi.NULL:
            raise MissingError(f"the link in {area.entry.name!r}: has not been made")

    def run(self, load: Load) -> Done:
        """KernelError; TiermemError where operations fail."""
        return _run(load, "the link", lib.storage_load_linked, self._native)

    def close(self) -> None:
        """Before the area is closed."""
        lib.storage_frontend_destroy(self._native)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _run(load: Load, where: str, way: Callable[..., int], target: Any) -> Done:
    native = ffi.new("struct storage_load *")
    native.is_write, native.depth, native.blocks = load.is_write, load.depth, load.blocks
    native.seconds, native.seed, native.most = load.seconds, load.seed, MOST
    latencies_ns = np.zeros(MOST, np.uint32)
    result = ffi.new("struct storage_load_result *")
    error = way(native, target, ffi.from_buffer("uint32_t[]", latencies_ns), result)
    if error:
        raise KernelError(f"{where}: read or write blocks", error)
    if result.failed:
        raise TiermemError(f"{where}: {result.failed} of {result.operations} operations failed")
    if result.wrong:
        raise DamagedError(f"{where}: {result.wrong} blocks are not those that were asked for")
    return Done(latencies_ns[: result.operations].copy(), float(result.seconds))
