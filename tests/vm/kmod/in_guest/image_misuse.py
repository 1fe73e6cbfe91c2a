"""What the image module refuses, and that nothing is lost when it is abused."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from images import (
    BASE,
    DEVICE,
    MAP_FIXED,
    PAGE,
    POOL_PART_BYTES,
    READ_WRITE,
    Image,
    Mapping,
    Run,
    in_child,
    libc,
    map_memory,
    open_request,
    pool_bytes,
    pool_start,
    request,
    stored,
    write_image,
)
from tiermem.native._uapi import ffi, lib

SEED = 20261125
KERNEL_ADDRESS = 0xFFFF_8880_0000_0000
GOOD = [Run(BASE + 3, 40, 512), Run(BASE + 50, 10, 600)]
USER_SPACE_PAGES = (1 << 56) // PAGE - 1
"""With page tables of five levels."""


@pytest.fixture
def device() -> Iterator[int]:
    with DEVICE.open("rb") as file:
        yield file.fileno()


def error_of(descriptor: int, command: int, argument: Any) -> int:
    """The errno of an ioctl; 0 for success."""
    try:
        request(descriptor, command, argument)
    except OSError as error:
        return error.errno or -1
    return 0


def open_error(device: int, runs: int, **fields: int) -> int:
    """The errno of TIERMEM_IMAGE_OPEN; the image is closed again."""
    asked = open_request(runs, **fields)
    error = error_of(device, lib.TIERMEM_IMAGE_OPEN, asked)
    if not error:
        os.close(int(asked.fd))
    return error


def test_the_node_is_roots_alone() -> None:
    status = DEVICE.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (0, 0)


def test_opening_and_looking_take_cap_sys_admin(device: int) -> None:
    write_image(GOOD)

    def without_capabilities() -> None:
        header = ctypes.create_string_buffer(b"\x22\x05\x08\x20".ljust(8, b"\0"), 8)
        data = ctypes.create_string_buffer(24)
        assert libc.capset(header, data) == 0
        assert open_error(device, len(GOOD)) == errno.EPERM
        asked = ffi.new("struct tiermem_image_pages *", {"pid": os.getpid()})
        assert error_of(device, lib.TIERMEM_IMAGE_PAGES, asked) == errno.EPERM

    assert open_error(device, len(GOOD)) == 0
    in_child(without_capabilities)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"flags": 2}, errno.EINVAL),
        ({"flags": 1 << 31}, errno.EINVAL),
        ({"reserved": 1}, errno.EINVAL),
        ({"nr_runs": lib.TIERMEM_IMAGE_RUNS_MAX + 1}, errno.E2BIG),
        ({"nr_runs": 2**32 - 1}, errno.E2BIG),
        ({"nr_runs": 0}, 0),
        ({"pool_bytes": 0}, errno.EINVAL),
        ({"pool_bytes": 2**64 - PAGE}, errno.EINVAL),
        ({"image_at": 1}, errno.EINVAL),
        ({"image_at": 2**64 - PAGE}, errno.EINVAL),
        ({"image_bytes": 0}, errno.EINVAL),
        ({"image_bytes": 2**64 - 1}, errno.EINVAL),
        ({"image_at": PAGE, "image_bytes": pool_bytes()}, errno.EINVAL),
        ({"runs_at": POOL_PART_BYTES - 24}, errno.EINVAL),
        ({"runs_at": 2**64 - 8}, errno.EINVAL),
        ({"runs_at": 4}, errno.EINVAL),
    ],
)
def test_a_wrong_field_has_its_errno(device: int, fields: dict[str, int], expected: int) -> None:
    write_image(GOOD)
    assert open_error(device, len(GOOD), **fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pool_start": 16 << 20, "pool_bytes": POOL_PART_BYTES}, errno.EPERM),
        ({"pool_start": 0, "pool_bytes": pool_start() + POOL_PART_BYTES}, errno.EPERM),
        ({"pool_start": 1 << 45, "pool_bytes": POOL_PART_BYTES}, errno.ENXIO),
        ({"pool_start": pool_start() - PAGE, "pool_bytes": pool_bytes()}, errno.ENXIO),
        ({"pool_bytes": pool_bytes() + PAGE}, errno.ENXIO),
        ({"pool_start": pool_start() + 1}, errno.EINVAL),
    ],
    ids=["the kernel's", "from 0 on", "nothing", "begins before", "ends behind", "unaligned"],
)
def test_memory_that_is_no_pool_is_refused(
    device: int, fields: dict[str, int], expected: int
) -> None:
    assert open_error(device, 0, **fields) == expected


@pytest.mark.parametrize(
    "runs",
    [
        [Run(BASE, 0, 512)],
        [Run(BASE + 50, 10, 600), Run(BASE, 40, 512)],
        [Run(BASE, 40, 512), Run(BASE + 39, 10, 600)],
        [Run(BASE, 40, POOL_PART_BYTES // PAGE - 39)],
        [Run(BASE, 40, 2**64 - 1)],
        [Run(BASE, 2**64 - 1, 512)],
        [Run(2**64 - 1, 2, 512)],
        [Run(USER_SPACE_PAGES - 1, 2, 512)],
    ],
    ids=["empty", "unsorted", "overlapping", "ends behind", "far", "long", "wraps", "kernel's"],
)
def test_damaged_runs_are_euclean(device: int, runs: list[Run]) -> None:
    write_image([], table_of=runs)
    assert open_error(device, len(runs)) == errno.EUCLEAN


@pytest.mark.parametrize("pointer", [0, 1, KERNEL_ADDRESS, 2**63 - 8])
def test_a_bad_pointer_is_a_fault(device: int, pointer: int) -> None:
    requests = (lib.TIERMEM_IMAGE_OPEN, lib.TIERMEM_IMAGE_PAGES, lib.TIERMEM_IMAGE_COUNTERS)
    for command in requests:
        status = libc.ioctl(device, ctypes.c_ulong(command), ctypes.c_void_p(pointer))
        assert (status, ctypes.get_errno()) == (-1, errno.EFAULT)


def test_an_argument_that_cannot_be_written_opens_nothing(device: int) -> None:
    write_image(GOOD)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with mmap.mmap(-1, PAGE) as area:
        area[:72] = bytes(ffi.buffer(open_request(len(GOOD)))).ljust(72, b"\0")
        address = ctypes.addressof(ctypes.c_char.from_buffer(area))
        libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), mmap.PROT_READ)
        command = ctypes.c_ulong(lib.TIERMEM_IMAGE_OPEN)
        assert libc.ioctl(device, command, ctypes.c_void_p(address)) == -1
        assert ctypes.get_errno() == errno.EFAULT
        libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), READ_WRITE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_unknown_request_is_none_of_its(device: int) -> None:
    with Image(GOOD) as image:
        for descriptor in (device, image.fd):
            status = libc.ioctl(descriptor, ctypes.c_ulong(0xC7FF), None)
            assert (status, ctypes.get_errno()) == (-1, errno.ENOTTY)


def test_an_image_is_not_mapped_shared() -> None:
    with Image(GOOD) as image, pytest.raises(OSError, match="mmap") as seen:
        map_memory(BASE * PAGE, 64, READ_WRITE, mmap.MAP_SHARED | MAP_FIXED, (image.fd, 0))
    assert seen.value.errno == errno.EINVAL


def test_a_wrong_question_for_pages_has_its_errno(device: int) -> None:
    me = os.getpid()
    for fields, expected in (
        ({"pid": me, "start": 1}, errno.EINVAL),
        ({"pid": me, "pages": 2**64 - 1}, errno.EINVAL),
        ({"pid": me, "start": 2**64 - PAGE}, errno.EINVAL),
        ({"pid": me, "reserved": 1}, errno.EINVAL),
        ({"pid": 2**30}, errno.ESRCH),
        ({"pid": -1}, errno.ESRCH),
        ({"pid": 2}, errno.ESRCH),
        ({"pid": me, "pages": 64, "held_ptr": KERNEL_ADDRESS}, errno.EFAULT),
        ({"pid": me, "pages": 0}, 0),
    ):
        asked = ffi.new("struct tiermem_image_pages *", fields)
        assert error_of(device, lib.TIERMEM_IMAGE_PAGES, asked) == expected, fields


def test_the_module_stays_while_an_image_is_open_or_mapped() -> None:
    image = Image(GOOD)
    mapping = image.map(BASE, 64)
    for let_go in (lambda: os.close(image.fd), mapping.unmap):
        done = subprocess.run(["rmmod", "tiermem_image"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "in use" in done.stderr
        assert mapping.values()[3:43] == stored(BASE + 3, 40)
        let_go()


def read_neighbours(mapping: Mapping, start: threading.Barrier) -> None:
    """Touch pages 16 to 31, but for page 20."""
    start.wait()
    libc.memcmp(mapping.range(24, 8)[0], *mapping.range(16, 4))


def test_what_is_given_back_by_one_thread_is_not_mapped_by_another() -> None:
    """Its neighbours' faults map pages around them."""
    with Image(GOOD) as image:
        for _ in range(400):
            with image.map(BASE, 64) as mapping:
                start = threading.Barrier(2)
                thread = threading.Thread(target=read_neighbours, args=(mapping, start))
                thread.start()
                start.wait()
                mapping.advise(mmap.MADV_DONTNEED, 20, 1)
                assert mapping.words()[20, 0] == 0
                thread.join()
                assert mapping.words()[20, 0] == 0


@pytest.mark.parametrize("flags", [0, lib.TIERMEM_IMAGE_COPY_ON_READ])
def test_random_use_agrees_with_ordinary_memory(flags: int) -> None:
    rng = random.Random(SEED)
    runs = [Run(BASE, 1024, 512), Run(BASE + 1030, 300, 1600), Run(BASE + 1400, 3, 2000)]
    wanted = [0] * 1536
    for run in runs:
        at = run.first_page - BASE
        wanted[at : at + run.pages] = stored(run.first_page, run.pages)
    with Image(runs, flags=flags) as image, image.map(BASE, len(wanted)) as mapping:
        for step in range(300):
            page = rng.choice([0, 512, 1024, rng.randrange(len(wanted))])
            pages = range(page, min(page + rng.choice([1, 2, 16, 512, 1024]), len(wanted)))
            use = rng.choices(list(USES), list(USES.values()))[0]
            use(mapping, wanted, pages)
            if step % 10 == 0:
                in_child(lambda: compare(mapping, wanted))
        assert mapping.values() == wanted


def read(mapping: Mapping, wanted: list[int], pages: range) -> None:
    """All of them."""
    part = Mapping((mapping.address + pages[0] * PAGE, len(pages) * PAGE))
    assert part.values() == wanted[pages[0] : pages[-1] + 1]


def write(mapping: Mapping, wanted: list[int], pages: range) -> None:
    """The first of them."""
    mapping.words()[pages[0]] = wanted[pages[0]] = 2 * len(pages)


def give_back(mapping: Mapping, wanted: list[int], pages: range) -> None:
    """All of them."""
    mapping.advise(mmap.MADV_DONTNEED, pages[0], len(pages))
    wanted[pages[0] : pages[-1] + 1] = [0] * len(pages)


def protect(mapping: Mapping, wanted: list[int], pages: range) -> None:
    """All of them, for a while."""
    mapping.protect(mmap.PROT_READ, pages[0], len(pages))
    assert mapping.words()[pages[0], 0] == wanted[pages[0]]
    mapping.protect(READ_WRITE, pages[0], len(pages))


USES = {read: 3, write: 2, give_back: 1, protect: 1}


def compare(mapping: Mapping, wanted: list[int]) -> None:
    """One word of each page."""
    assert mapping.words()[:, 3].tolist() == wanted


def test_processes_that_are_killed_leave_nothing() -> None:
    with Image(GOOD) as image:
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                mapping = image.map(BASE, 64)
                mapping.words()[10] = 4
                os.fork()
                mapping.values()
                os.kill(os.getpid(), 9)
            os.waitpid(pid, 0)
        assert image.count("copied_pages") >= 20
    assert "tiermem_image" in Path("/proc/modules").read_text()
