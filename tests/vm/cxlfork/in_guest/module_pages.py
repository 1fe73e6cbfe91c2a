"""What the image module adds to a checkpoint: A and D bits, and pages of restored processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiermem.cxlfork.capture.refusals import RefusedError
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import open_image
from tiermem.layer.pool import Pool, create_pool, open_pool

PAGE = 4096
PAGES = 64
DAX = Path("/dev/dax0.0")

COMMON = """
import ctypes, mmap, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def words(address, pages):
    return (ctypes.c_ulong * (pages * 512)).from_address(address)
def say(text):
    print(text, flush=True)
    sys.stdin.readline()
"""
WRITER = """
at = libc.mmap(None, 64 * 4096, 3, 0x22, -1, 0)
libc.madvise(at, 64 * 4096, mmap.MADV_NOHUGEPAGE)
own = words(at, 64)
for page in range(64):
    own[page * 512] = page + 1
say(at)
# The kernel clears A bits without a word to the TLB, which sets none while it knows a page.
for protection in (1, 3):
    libc.mprotect(ctypes.c_void_p(at), 64 * 4096, protection)
own[3 * 512], own[7 * 512]
own[9 * 512] = 99
say("touched")
"""
CLONE = """
from tiermem.layer.image_device import ImageDevice, ImageSpot
at, start, size, image_at, image_bytes, runs_at, runs = map(int, sys.argv[1:])
with ImageDevice() as device:
    spot = ImageSpot(start, size, image_at, image_bytes)
    fd = device.open_image(spot, runs_at=runs_at, runs=runs)
libc.mmap(at, 64 * 4096, 3, mmap.MAP_PRIVATE | 0x10, fd, at)
import os
os.close(fd)
own = words(at, 64)
own[5 * 512] = 555
libc.madvise(at + 6 * 4096, 4096, 4)
say("changed")
"""
KEYED = """
at = libc.mmap(None, 4096, 3, 0x22, -1, 0)
key = libc.pkey_alloc(0, 0)
say(libc.pkey_mprotect(ctypes.c_void_p(at), ctypes.c_size_t(4096), 3, key))
"""


class Talker:
    """A Python process that says something and waits for an answer, in turn."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def answer(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


@contextmanager
def talking(text: str, *arguments: int) -> Iterator[Talker]:
    command = [sys.executable, "-c", COMMON + text, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield Talker(process)
        process.kill()


@pytest.fixture
def pool() -> Iterator[Pool]:
    create_pool(DAX, hosts=1, force=True)
    with open_pool(DAX, 0) as opened:
        yield opened


def test_pages_that_were_in_use_are_told(pool: Pool) -> None:
    with talking(WRITER) as writer:
        first = int(writer.line()) // PAGE
        Path(f"/proc/{writer.pid}/clear_refs").write_text("1")
        writer.answer()
        assert writer.line() == "touched"
        checkpoint(pool, writer.pid, "it")
    with open_image(pool, "it") as image:
        assert image.header.has_accessed
        begin = image.header.data_at // PAGE
        places = {
            data + i - begin: at + i - first
            for at, pages, data in image.runs.tolist()
            for i in range(pages)
        }
        accessed = {places.get(bit) for bit in np.flatnonzero(image.bits("accessed")).tolist()}
        dirty = {places.get(bit) for bit in np.flatnonzero(image.bits("dirty")).tolist()}
    assert accessed & set(range(PAGES)) == {3, 7, 9}
    assert dirty >= set(range(PAGES))


def test_a_process_that_maps_an_image_is_taken_with_it(pool: Pool) -> None:
    with talking(WRITER) as writer:
        at = int(writer.line())
        checkpoint(pool, writer.pid, "first")
    sysfs = Path("/sys/bus/dax/devices/dax0.0")
    start, size = (int((sysfs / name).read_text(), 0) for name in ("resource", "size"))
    with open_image(pool, "first", verify=False) as image:
        entry = pool.find("fork/first")
        assert entry is not None
        runs = image.header.runs
        arguments = (at, start, size, entry.offset, entry.bytes, runs.at, runs.count)
        with talking(CLONE, *arguments) as clone:
            assert clone.line() == "changed"
            checkpoint(pool, clone.pid, "second")
    with open_image(pool, "second") as image:
        pages = [image.page(at + page * PAGE) for page in range(PAGES)]
    found = [int.from_bytes(page[:8], "little") if page else 0 for page in pages]
    wanted = [page + 1 for page in range(PAGES)]
    wanted[5], wanted[6] = 555, 0
    assert found == wanted


def test_memory_behind_a_protection_key_is_refused(pool: Pool) -> None:
    if "ospke" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no memory protection keys")
    with talking(KEYED) as keyed:
        assert keyed.line() == "0"
        with pytest.raises(RefusedError, match="guarded by a memory protection key"):
            checkpoint(pool, keyed.pid, "it")
