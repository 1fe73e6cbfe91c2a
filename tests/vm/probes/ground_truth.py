"""For the scenarios, which run in the guest: memory on a chosen node, moved or touched by plan.

System calls go through libc's syscall(), so that the truth against which the
probes are held does not depend on the code under test, nor on the layer.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
SYS_MBIND, SYS_MOVE_PAGES, SYS_VMSPLICE = 237, 279, 278
MPOL_BIND, MPOL_MF_STRICT, MPOL_MF_MOVE = 2, 1, 2
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Pages:
    """Anonymous base pages (`huge`: aligned and advised for huge ones), not yet touched."""

    def __init__(self, count: int, *, huge: bool = False) -> None:
        bytes_ = count * PAGE
        align = 2 << 20 if huge else PAGE
        self._map = mmap.mmap(-1, bytes_ + align, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._map.madvise(MADV_HUGEPAGE if huge else MADV_NOHUGEPAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self.count = count
        self.address = (base + align - 1) // align * align
        self._offset = self.address - base

    def allow_huge(self) -> None:
        """The kernel may make huge pages of them from now on."""
        self._map.madvise(MADV_HUGEPAGE)

    def bind(self, node: int, flags: int = 0) -> None:
        mask = ctypes.c_ulong(1 << node)
        syscall(
            SYS_MBIND,
            ctypes.c_ulong(self.address),
            ctypes.c_ulong(self.count * PAGE),
            ctypes.c_int(MPOL_BIND),
            ctypes.byref(mask),
            ctypes.c_ulong(64),
            ctypes.c_uint(flags),
        )

    def touch(self) -> None:
        """Write one byte of every page."""
        for page in range(self.count):
            self._map[self._offset + page * PAGE] = 1

    def move(self, node: int, first: int = 0, count: int | None = None) -> list[int]:
        """move_pages(2); the status of each page: its node, or an errno below 0."""
        count = self.count - first if count is None else count
        addresses = (ctypes.c_void_p * count)(
            *(self.address + (first + page) * PAGE for page in range(count))
        )
        nodes = (ctypes.c_int * count)(*([node] * count))
        status = (ctypes.c_int * count)()
        syscall(
            SYS_MOVE_PAGES,
            ctypes.c_int(0),
            ctypes.c_ulong(count),
            addresses,
            nodes,
            status,
            ctypes.c_int(MPOL_MF_MOVE),
        )
        return list(status)

    def nodes(self, first: int, count: int) -> list[int]:
        """Where pages lie."""
        addresses = (ctypes.c_void_p * count)(
            *(self.address + (first + page) * PAGE for page in range(count))
        )
        status = (ctypes.c_int * count)()
        syscall(
            SYS_MOVE_PAGES,
            ctypes.c_int(0),
            ctypes.c_ulong(count),
            addresses,
            None,
            status,
            ctypes.c_int(0),
        )
        return list(status)

    def frames(self) -> list[int]:
        """The page frame numbers behind the pages, which have been touched."""
        with Path("/proc/self/pagemap").open("rb") as pagemap:
            pagemap.seek(self.address // PAGE * 8)
            entries = struct.unpack(f"<{self.count}Q", pagemap.read(self.count * 8))
        return [entry & ((1 << 55) - 1) for entry in entries]

    @contextmanager
    def pinned(self, first: int, count: int) -> Iterator[None]:
        """Meanwhile a pipe holds references to these pages, so that they cannot move."""
        reader, writer = os.pipe()
        try:
            vector = (ctypes.c_size_t * 2)(self.address + first * PAGE, count * PAGE)
            spliced = syscall(
                SYS_VMSPLICE, ctypes.c_int(writer), vector, ctypes.c_ulong(1), ctypes.c_uint(0)
            )
            assert spliced == count * PAGE
            yield
        finally:
            os.close(reader)
            os.close(writer)


@contextmanager
def module(name: str) -> Iterator[None]:
    """One of tiermem's kernel modules, loaded meanwhile."""
    path = f"/opt/tiermem/artifacts/modules/{platform.release()}/{name}.ko"
    subprocess.run(["insmod", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["rmmod", name], check=True)


def vmstat(names: Sequence[str]) -> dict[str, int]:
    """Counters of /proc/vmstat."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    values = {name: int(value) for name, value in map(str.split, lines)}
    return {name: values[name] for name in names}


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


def cpu_ns(pid: int) -> int:
    """CPU time of a thread as the scheduler has it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
