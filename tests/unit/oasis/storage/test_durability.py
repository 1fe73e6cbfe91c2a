"""What a flush and FUA promise, by what the page cache still has to write."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status

from tests.unit.oasis.storage.hosts import Hosts, run, write

SYS_CACHESTAT = 451
BLOCK = 4096


class Range(ctypes.Structure):
    """struct cachestat_range; a length of 0: to the end."""

    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class Stat(ctypes.Structure):
    """struct cachestat."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted")
    )


def undurable_pages(path: Path) -> int:
    """How many pages of a file are not on its disk."""
    stat, everything = Stat(), Range(0, 0)
    with path.open("rb") as file:
        done = ctypes.CDLL(None, use_errno=True).syscall(
            SYS_CACHESTAT, file.fileno(), ctypes.byref(everything), ctypes.byref(stat), 0
        )
    if done < 0:
        pytest.skip(f"cachestat: {os.strerror(ctypes.get_errno())}")
    return int(stat.dirty + stat.writeback)


@pytest.fixture
def undurable(hosts: Hosts) -> Callable[[], int]:
    """Of the disk, all of which is durable now, and not in the cache: what comes in there with
    a write is no larger than it, and does not become dirty as a part of more."""
    with hosts.disk.open("r+b", buffering=0) as disk:
        disk.write(os.pread(disk.fileno(), BLOCK, 0))
        if not undurable_pages(hosts.disk):
            pytest.skip("this file system does not tell what is not on its disk")
        os.fsync(disk.fileno())
        os.posix_fadvise(disk.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if undurable_pages(hosts.disk):
        pytest.skip("this file system has no disk")
    return lambda: undurable_pages(hosts.disk)


def write_undurably(frontend: Frontend, blocks: int, undurable: Callable[[], int]) -> None:
    """The first blocks; again where the kernel has just written some of them by itself."""
    for _ in range(20):
        for lba in range(blocks):
            assert write(frontend, lba, b"x" * BLOCK) is Status.OK
        if undurable() == blocks:
            return
    pytest.fail("what is written is durable at once")


def test_what_completed_before_a_flush_is_durable_after_it(
    hosts: Hosts, undurable: Callable[[], int]
) -> None:
    with hosts.served(is_direct=False) as (frontend, _, _):
        write_undurably(frontend, 8, undurable)
        assert run(frontend, Request(Opcode.FLUSH)).status is Status.OK
        assert undurable() == 0


def test_a_write_with_fua_is_durable_when_it_completes(
    hosts: Hosts, undurable: Callable[[], int]
) -> None:
    with hosts.served(is_direct=False) as (frontend, _, _):
        write_undurably(frontend, 1, undurable)
        done = run(frontend, Request(Opcode.WRITE, 8, 1, is_fua=True), b"y" * BLOCK)
        assert done.status is Status.OK
        assert undurable() <= 1


@pytest.mark.parametrize("opcode", [Opcode.WRITE_ZEROES, Opcode.DISCARD])
def test_zeroes_with_fua_are_durable_when_they_complete(
    hosts: Hosts, undurable: Callable[[], int], opcode: Opcode
) -> None:
    """fallocate knows no FUA: a sync of the file follows it."""
    with hosts.served(is_direct=False) as (frontend, _, _):
        assert run(frontend, Request(opcode, 4, 1)).status is Status.OK
        write_undurably(frontend, 1, undurable)
        assert run(frontend, Request(opcode, 4, 1, is_fua=True)).status is Status.OK
        assert undurable() == 0


def test_a_backend_that_writes_through_leaves_nothing_undurable(
    hosts: Hosts, undurable: Callable[[], int]
) -> None:
    with hosts.served(is_direct=False, is_write_through=True) as (frontend, _, _):
        for lba in range(4):
            assert write(frontend, lba, b"x" * BLOCK) is Status.OK
        assert undurable() == 0
