"""Open files of other processes, as descriptors of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tiermem.errors import KernelError
from tiermem.native._fork import lib


@contextmanager
def fd_of_process(pid: int, number: int, what: str = "") -> Iterator[int]:
    """A descriptor for process `pid`'s `number`, until the block ends. KernelError; `what`
    is what it calls the descriptor."""
    fd = int(lib.process_fd_take(pid, number))
    if fd < 0:
        raise KernelError(f"process {pid}: take {what or f'descriptor {number}'}", -fd)
    try:
        yield fd
    finally:
        os.close(fd)
