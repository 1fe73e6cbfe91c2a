"""Which processors the parts of a benchmark between hosts run on, on one machine."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import KernelError

_LATENCY = Path("/dev/cpu_dma_latency")
PARTS = 4


@dataclass(frozen=True)
class Placement:
    """A processor for each part. The instance's program and its frontend are one host, the
    backend and what it serves another.

    is_yielding: they share processors, so the spinning parts must leave them to the others.
    """

    program: int
    frontend: int
    backend: int
    outside: int
    is_yielding: bool


def place() -> Placement:
    """One processor for each part, where there are so many; else one for each host.

    KernelError where there is one only.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) >= PARTS:
        return Placement(*cpus[:PARTS], is_yielding=False)
    if len(cpus) < 2:
        raise KernelError("measure between hosts: two processors are needed", errno.ENODEV)
    return Placement(cpus[0], cpus[0], cpus[1], cpus[1], is_yielding=True)


@contextmanager
def running_on(cpu: int) -> Iterator[None]:
    """This thread runs there only, meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def awake() -> Iterator[bool]:
    """Idle processors do not halt meanwhile, so that waking up is not what is measured;
    False where the kernel has no such switch."""
    try:
        request = os.open(_LATENCY, os.O_WRONLY)
    except OSError:
        yield False
        return
    try:
        os.write(request, struct.pack("i", 0))
        yield True
    finally:
        os.close(request)
