"""What the promoter refuses, and that nothing is lost when it is abused."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import random
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memory import CXL, DRAM, THP_PAGES, on_node, pages_left_isolated, vmstat
from tiermem.layer.promote_device import BATCH_MAX, PromoteCode, PromoteDevice
from tiermem.native._uapi import ffi, lib

NODE = Path("/dev/tiermem_promote")
SEED = 20251122
FUZZ_CALLS = 1500
ARENA_WORDS = 512
NO_CODE = 0xFF
KERNEL_ADDRESS = 0xFFFF_8880_0000_0000


@pytest.fixture(scope="module")
def device() -> Iterator[PromoteDevice]:
    with PromoteDevice() as device:
        yield device


def call(device: PromoteDevice, request: int, argument: Any) -> int:
    """The errno of an ioctl; 0 for success."""
    try:
        if isinstance(argument, int):
            fcntl.ioctl(device.fileno(), request, argument)
        else:
            fcntl.ioctl(device.fileno(), request, ffi.buffer(argument), True)
    except OSError as error:
        return error.errno or -1
    return 0


def pfns_call(device: PromoteDevice, **fields: int) -> int:
    """TIERMEM_PROMOTE_PFNS of one frame of this test's, with some fields changed."""
    pfns, codes = ffi.new("__u64[8]"), ffi.new("__u8[8]")
    values = {
        "pfns_ptr": int(ffi.cast("uintptr_t", pfns)),
        "results_ptr": int(ffi.cast("uintptr_t", codes)),
        "count": 1,
        "target_node": DRAM,
    }
    argument = ffi.new("struct tiermem_promote_pfns *", values | fields)
    return call(device, lib.TIERMEM_PROMOTE_PFNS, argument)


def test_the_node_is_roots_alone() -> None:
    status = NODE.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert (status.st_uid, status.st_gid) == (0, 0)


@pytest.mark.parametrize(
    "user",
    [["--reuid=65534", "--clear-groups"], ["--bounding-set=-all", "--inh-caps=-all"]],
    ids=["another user", "root without capabilities"],
)
def test_who_may_not_open_it(user: list[str]) -> None:
    attempt = ["setpriv", *user, "dd", f"if={NODE}", "count=0"]
    done = subprocess.run(attempt, capture_output=True, text=True)
    assert done.returncode != 0
    assert "ermi" in done.stderr  # Permission denied, Operation not permitted


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"target_node": -1}, errno.EINVAL),
        ({"target_node": 2**31 - 1}, errno.EINVAL),
        ({"target_node": -(2**31)}, errno.EINVAL),
        ({"target_node": 7}, errno.ENODEV),
        ({"flags": 2}, errno.EINVAL),
        ({"flags": 2**31}, errno.EINVAL),
        ({"reserved": 1}, errno.EINVAL),
        ({"count": BATCH_MAX + 1}, errno.E2BIG),
        ({"count": 2**32 - 1}, errno.E2BIG),
        ({"pfns_ptr": 0}, errno.EFAULT),
        ({"pfns_ptr": KERNEL_ADDRESS}, errno.EFAULT),
        ({"pfns_ptr": 2**64 - 1}, errno.EFAULT),
        ({"results_ptr": 0}, errno.EFAULT),
        ({"results_ptr": KERNEL_ADDRESS}, errno.EFAULT),
        ({"count": 0, "pfns_ptr": 0, "results_ptr": 0}, 0),
    ],
)
def test_a_wrong_field_has_its_errno(
    device: PromoteDevice, fields: dict[str, int], expected: int
) -> None:
    assert pfns_call(device, **fields) == expected


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(0, BATCH_MAX + 1)], errno.E2BIG),
        ([(0, 40000), (0, 40000)], errno.E2BIG),
        ([(0, 2**64 - 1)], errno.E2BIG),
        ([(2**64 - 1, 2)], errno.EINVAL),
        ([], 0),
        ([(5, 0)], 0),
    ],
)
def test_wrong_ranges_have_their_errno(
    device: PromoteDevice, ranges: list[tuple[int, int]], expected: int
) -> None:
    runs = np.array(ranges, dtype=np.uint64).reshape(-1, 2)
    codes = np.empty(BATCH_MAX, dtype=np.uint8)
    argument = ffi.new("struct tiermem_promote_ranges *")
    argument.ranges_ptr = int(runs.ctypes.data)
    argument.results_ptr = int(codes.ctypes.data)
    argument.nr_ranges = len(runs)
    assert call(device, lib.TIERMEM_PROMOTE_RANGES, argument) == expected


def test_an_unknown_request_is_none_of_its(device: PromoteDevice) -> None:
    assert call(device, 0xC6FF, 0) == errno.ENOTTY
    assert call(device, lib.TIERMEM_HPT_ARM, 0) == errno.ENOTTY


@pytest.mark.parametrize("pointer", [0, 1, KERNEL_ADDRESS, 2**63 - 8])
def test_a_bad_argument_pointer_is_a_fault(device: PromoteDevice, pointer: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    requests = (lib.TIERMEM_PROMOTE_PFNS, lib.TIERMEM_PROMOTE_RANGES, lib.TIERMEM_PROMOTE_COUNTERS)
    for request in requests:
        status = libc.ioctl(device.fileno(), ctypes.c_ulong(request), ctypes.c_void_p(pointer))
        assert (status, ctypes.get_errno()) == (-1, errno.EFAULT)


def test_a_read_only_result_array_is_found_before_anything_moves(device: PromoteDevice) -> None:
    with on_node(CXL, 4) as memory, Path("/proc/self/exe").open("rb") as file:
        page = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)
        before = memory.pfns()
        argument = ffi.new("struct tiermem_promote_pfns *")
        argument.pfns_ptr = int(before.ctypes.data)
        argument.results_ptr = int(np.frombuffer(page, np.uint8).ctypes.data)
        argument.count = 4
        assert call(device, lib.TIERMEM_PROMOTE_PFNS, argument) == errno.EFAULT
        assert (memory.pfns() == before).all()


class Arena:
    """What a random call reads its frames or ranges from, and where its codes go: behind them,
    or over them."""

    def __init__(self) -> None:
        self.codes = np.empty(2 * BATCH_MAX, dtype=np.uint8)
        self.words = self.codes.view(np.uint64)
        self.base = int(self.codes.ctypes.data)

    def fill(self, rng: random.Random, request: int, frames: list[int]) -> None:
        """Frames to move, or ranges that begin at them, one word of them wild."""
        self.codes[:] = NO_CODE
        some = rng.choices(frames, k=ARENA_WORDS)
        self.words[:ARENA_WORDS] = some
        if request == lib.TIERMEM_PROMOTE_RANGES:
            self.words[1:ARENA_WORDS:2] = rng.choices([0, 1, 1, 2, 512], k=ARENA_WORDS // 2)
        self.words[rng.randrange(ARENA_WORDS)] = rng.getrandbits(rng.choice([8, 20, 40, 64]))

    def pages(self, request: int, count: int) -> int:
        """How many codes a call has that is taken."""
        if request == lib.TIERMEM_PROMOTE_RANGES:
            return sum(self.words[1 : 2 * count : 2].tolist())
        return count

    def codes_of_call(self, results_ptr: int, pages: int) -> set[int]:
        """The codes that it wrote."""
        start = results_ptr - self.base if pages else 0
        return set(self.codes[start : start + pages].tolist())


def random_argument(rng: random.Random, base: int) -> Any:
    """For frames and ranges alike: the two structures are laid out the same."""
    argument = ffi.new("struct tiermem_promote_pfns *")
    raw = ffi.buffer(argument)
    behind = base + BATCH_MAX
    pointers = [base, base, base, 0, rng.getrandbits(64), KERNEL_ADDRESS]
    argument.pfns_ptr = rng.choice(pointers)
    argument.results_ptr = rng.choice([behind, behind, *pointers])
    argument.count = rng.choice([0, 1, 7, 256, 256, 65537, rng.getrandbits(32)])
    argument.target_node = rng.choice([0, 1, 0, 1, -1, 2, 1023, rng.getrandbits(31)])
    argument.flags = rng.choice([0, 0, 0, 1, rng.getrandbits(32)])
    if rng.random() < 0.2:
        raw[:] = rng.randbytes(len(raw))
    return argument


def test_random_calls_end_in_a_known_errno_and_lose_nothing(device: PromoteDevice) -> None:
    rng = random.Random(SEED)
    arena = Arena()
    seen: set[int] = set()
    moved_by = {lib.TIERMEM_PROMOTE_PFNS: 0, lib.TIERMEM_PROMOTE_RANGES: 0}
    counters = lib.TIERMEM_PROMOTE_COUNTERS
    with on_node(CXL, 256) as memory, on_node(CXL, 2 * THP_PAGES, huge=True) as huge:
        for _ in range(FUZZ_CALLS):
            request = rng.choice([*moved_by, *moved_by, counters, rng.getrandbits(32)])
            argument = random_argument(rng, arena.base)
            arena.fill(rng, request, [*memory.pfns().tolist(), *huge.pfns().tolist()])
            pages = arena.pages(request, argument.count)
            before = device.counters().moved_pages
            total = ffi.new("struct tiermem_promote_counters *")
            error = call(device, request, total if request == counters else argument)
            moved_pages = device.counters().moved_pages - before
            seen.add(error)
            if error or request not in moved_by:
                assert moved_pages == 0
            else:
                assert moved_pages == argument.moved_pages
                assert arena.codes_of_call(argument.results_ptr, pages) <= set(PromoteCode)
                moved_by[request] += moved_pages
        known = {0, errno.EINVAL, errno.ENODEV, errno.E2BIG, errno.EFAULT, errno.ENOTTY}
        assert known <= seen <= known | {errno.ENOMEM}
        assert min(moved_by.values()) > THP_PAGES
        assert memory.is_intact()
        assert huge.is_intact()
    assert pages_left_isolated() == 0


def test_competing_calls_agree_with_the_kernels_count_of_moves(device: PromoteDevice) -> None:
    migrated, totals = vmstat("pgmigrate_success"), device.counters()
    with on_node(CXL, 512) as memory, on_node(CXL, 2 * THP_PAGES, huge=True) as huge:

        def push(node: int) -> None:
            with PromoteDevice() as own:
                for _ in range(20):
                    own.promote(np.concatenate([memory.pfns(), huge.pfns()]), node)

        threads = [threading.Thread(target=push, args=(node,)) for node in (DRAM, CXL, DRAM, CXL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memory.is_intact()
        assert huge.is_intact()
    after = device.counters()
    moved_pages = after.moved_pages - totals.moved_pages
    assert moved_pages == vmstat("pgmigrate_success") - migrated
    assert after.results[PromoteCode.MOVED] > totals.results[PromoteCode.MOVED]
    assert pages_left_isolated() == 0


def test_the_module_stays_while_it_is_open() -> None:
    with PromoteDevice():
        done = subprocess.run(["rmmod", "tiermem_promote"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "in use" in done.stderr
    assert NODE.exists()
