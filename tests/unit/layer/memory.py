"""Memory of the test's own process, and of a child, with known content and place."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PAGE = mmap.PAGESIZE

CHILD = """
import ctypes, mmap, sys
pages, private = int(sys.argv[1]), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=private)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(pages):
    memory[page * mmap.PAGESIZE] = 1
print(ctypes.addressof(ctypes.c_char.from_buffer(memory)), flush=True)
sys.stdin.read()
"""


@contextmanager
def anonymous(pages: int, touched: int = 0) -> Iterator[int]:
    """The address of `pages` private pages, the first `touched` of them written to."""
    memory = mmap.mmap(-1, pages * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(touched):
        memory[page * PAGE] = 1
    view = ctypes.c_char.from_buffer(memory)
    try:
        yield ctypes.addressof(view)
    finally:
        del view
        memory.close()


@contextmanager
def child(pages: int) -> Iterator[tuple[int, int]]:
    """A process that holds `pages` written pages: its pid, and their address."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(pages)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.communicate()
