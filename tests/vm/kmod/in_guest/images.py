"""Images made by hand on the pool device, and mappings of them at their own addresses."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tiermem.native._uapi import ffi, lib

DEVICE = Path("/dev/tiermem_image")
POOL = Path("/dev/dax0.0")
FACTS = Path("/sys/bus/dax/devices/dax0.0")
PAGE = 4096
LARGE_PAGES = 512
BASE = 0x2000_0000_0000 // PAGE
"""The page where test images begin: free address space, a multiple of 2 MiB."""
POOL_PART_BYTES = 64 << 20
RUNS_AT = PAGE
MAP_FIXED = 0x10
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE

U64 = npt.NDArray[np.uint64]

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mremap.restype = ctypes.c_void_p


class Run(NamedTuple):
    """struct tiermem_image_run."""

    first_page: int
    pages: int
    data_page: int


def value_of(page: int) -> int:
    """What every word of a page of a test image is."""
    return page * 2 + 1


def pool_start() -> int:
    """The device's physical address."""
    return int((FACTS / "resource").read_text(), 0)


def pool_bytes() -> int:
    """The device's size."""
    return int((FACTS / "size").read_text())


@cache
def pool_pages() -> U64:
    """The first part of the pool, a row a page; mapped until this process ends."""
    with POOL.open("r+b") as file:
        area = mmap.mmap(file.fileno(), POOL_PART_BYTES)
    return np.frombuffer(area, np.uint64).reshape(-1, PAGE // 8)


def write_image(runs: Sequence[Run], table_of: Sequence[Run] | None = None) -> None:
    """The runs (or others as their table), and for each page its number as `value_of` it."""
    pages = pool_pages()
    table = np.array(runs if table_of is None else table_of, np.uint64).reshape(-1)
    pages[RUNS_AT // PAGE, : len(table)] = table
    for run in runs:
        numbers = np.arange(run.first_page, run.first_page + run.pages, dtype=np.uint64)
        pages[run.data_page : run.data_page + run.pages] = (numbers * 2 + 1)[:, None]


def open_request(runs: int, **fields: int) -> Any:
    """struct tiermem_image_open of an image at the pool's begin, some fields changed."""
    values = {
        "pool_start": pool_start(),
        "pool_bytes": pool_bytes(),
        "image_at": 0,
        "image_bytes": POOL_PART_BYTES,
        "runs_at": RUNS_AT,
        "nr_runs": runs,
        "fd": -1,
    }
    return ffi.new("struct tiermem_image_open *", values | fields)


def request(descriptor: int, command: int, argument: Any) -> None:
    """An ioctl with a structure."""
    fcntl.ioctl(descriptor, command, ffi.buffer(argument), True)


class Image:
    """An open image."""

    def __init__(self, runs: Sequence[Run], *, flags: int = 0) -> None:
        write_image(runs)
        asked = open_request(len(runs), flags=flags)
        with DEVICE.open("rb") as device:
            request(device.fileno(), lib.TIERMEM_IMAGE_OPEN, asked)
        self.fd = int(asked.fd)

    def __enter__(self) -> Image:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def count(self, name: str) -> int:
        """One of its counters."""
        counters = ffi.new("struct tiermem_image_counters *")
        request(self.fd, lib.TIERMEM_IMAGE_COUNTERS, counters)
        return int(getattr(counters, name))

    def map(
        self, page: int, pages: int, *, at: int | None = None, protection: int = READ_WRITE
    ) -> Mapping:
        """Pages of it, at their own address or another."""
        where = (page if at is None else at) * PAGE
        flags = mmap.MAP_PRIVATE | MAP_FIXED
        return Mapping(map_memory(where, pages, protection, flags, (self.fd, page * PAGE)))


def map_memory(
    where: int, pages: int, protection: int, flags: int, file: tuple[int, int]
) -> tuple[int, int]:
    """mmap(2) of a descriptor from an offset on; address and length of the mapping."""
    descriptor, offset = file
    length = ctypes.c_size_t(pages * PAGE)
    place = ctypes.c_void_p(where)
    got = libc.mmap(place, length, protection, flags, descriptor, ctypes.c_long(offset))
    if got == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return got, pages * PAGE


def checked(status: int) -> None:
    """OSError where a call of the C library failed."""
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Mapping:
    """Mapped pages; those of an image are numbered from the first that is mapped."""

    def __init__(self, place: tuple[int, int]) -> None:
        self.address, self.length = place

    def __enter__(self) -> Mapping:
        return self

    def __exit__(self, *_: object) -> None:
        self.unmap()

    def unmap(self, page: int = 0, pages: int | None = None) -> None:
        """All of it, or some pages."""
        checked(libc.munmap(*self.range(page, pages)))

    def range(self, page: int, pages: int | None) -> tuple[ctypes.c_void_p, ctypes.c_size_t]:
        """Address and bytes of some pages; all from `page` on without a number."""
        length = self.length - page * PAGE if pages is None else pages * PAGE
        return ctypes.c_void_p(self.address + page * PAGE), ctypes.c_size_t(length)

    def words(self) -> U64:
        """One row a page."""
        array = (ctypes.c_uint64 * (self.length // 8)).from_address(self.address)
        return np.frombuffer(array, np.uint64).reshape(-1, PAGE // 8)

    def values(self) -> list[int]:
        """What each page holds in all of its words; -1 where they differ."""
        words = self.words()
        same = (words == words[:, :1]).all(axis=1)
        return [int(row[0]) if ok else -1 for row, ok in zip(words, same, strict=True)]

    def advise(self, advice: int, page: int = 0, pages: int | None = None) -> None:
        """madvise(2)."""
        checked(libc.madvise(*self.range(page, pages), advice))

    def protect(self, protection: int, page: int = 0, pages: int | None = None) -> None:
        """mprotect(2)."""
        checked(libc.mprotect(*self.range(page, pages), protection))

    def resize(
        self, pages: int, *, may_move: bool = True, to: int | None = None, is_left: bool = False
    ) -> Mapping:
        """mremap(2); this mapping is no more, unless it is left (MREMAP_DONTUNMAP)."""
        flags = (1 if may_move or to is not None else 0) | (0 if to is None else 2)
        flags |= 4 if is_left else 0
        got = libc.mremap(
            ctypes.c_void_p(self.address),
            ctypes.c_size_t(self.length),
            ctypes.c_size_t(pages * PAGE),
            flags,
            ctypes.c_void_p(0 if to is None else to * PAGE),
        )
        if got == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mremap")
        return Mapping((got, pages * PAGE))


def stored(page: int, pages: int) -> list[int]:
    """What pages of a test image hold."""
    return [value_of(number) for number in range(page, page + pages)]


def check(is_so: bool) -> None:
    """An assertion for a lambda."""
    assert is_so


def in_child(job: Callable[[], object]) -> None:
    """Run it in a child process; it fails where that fails."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            job()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
