"""Pages that something holds, so that they must not move."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tiermem.layer.pages.pagemap import read_pagemap

SYS_IO_URING_SETUP, SYS_IO_URING_REGISTER = 425, 427
IORING_REGISTER_BUFFERS = 0
MAP_HUGETLB = 0x40000
HUGE_BYTES = 2 << 20

_libc = ctypes.CDLL(None, use_errno=True)


class IoVec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


@contextmanager
def pinned_by_io_uring(address: int, length_bytes: int) -> Iterator[None]:
    """The memory is a registered buffer of an io_uring: a long-term pin."""
    parameters = ctypes.create_string_buffer(120)
    ring = _checked(_libc.syscall(SYS_IO_URING_SETUP, 1, parameters))
    try:
        vector = IoVec(address, length_bytes)
        command = (SYS_IO_URING_REGISTER, ring, IORING_REGISTER_BUFFERS, ctypes.byref(vector), 1)
        _checked(_libc.syscall(*command))
        yield
    finally:
        os.close(ring)


@contextmanager
def referenced_by_pipe(address: int, length_bytes: int) -> Iterator[None]:
    """The memory's pages lie in a pipe: referenced, but neither pinned nor locked."""
    out, into = os.pipe()
    try:
        vector = IoVec(address, length_bytes)
        spliced = _checked(_libc.vmsplice(into, ctypes.byref(vector), ctypes.c_size_t(1), 0))
        assert spliced == length_bytes
        yield
    finally:
        os.close(out)
        os.close(into)


@contextmanager
def hugetlb_page() -> Iterator[int]:
    """The first frame of a 2 MiB page of hugetlbfs on node 0."""
    pool = Path("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages")
    before = pool.read_text()
    pool.write_text("1")
    area = mmap.mmap(-1, HUGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    try:
        area[0] = 1
        view = ctypes.c_char.from_buffer(area)
        address = ctypes.addressof(view)
        del view
        yield int(read_pagemap(os.getpid(), address, 1).pfns[0])
    finally:
        area.close()
        pool.write_text(before)
