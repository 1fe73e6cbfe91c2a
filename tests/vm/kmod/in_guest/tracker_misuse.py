"""What the tracker driver refuses, and that abuse or an unbound device loses nothing."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import fcntl
import os
import random
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from memory import CXL, on_node
from tiermem.errors import KernelError, MissingError
from tiermem.layer.tracker_config import DeviceConfig, ListKind
from tiermem.layer.tracker_device import ENTRIES_MAX, DeviceState, TrackerDevice
from tiermem.native._uapi import ffi, lib

NODE = Path("/dev/tiermem_hpt0")
DRIVER = Path("/sys/bus/pci/drivers/tiermem_hpt")
SEED = 20251122
FUZZ_CALLS = 2000
KERNEL_ADDRESS = 0xFFFF_8880_0000_0000
WITH_ARGUMENT = {
    lib.TIERMEM_HPT_GET_INFO: "struct tiermem_hpt_info *",
    lib.TIERMEM_HPT_GET_CONFIG: "struct tiermem_hw_config *",
    lib.TIERMEM_HPT_SET_CONFIG: "struct tiermem_hw_config *",
    lib.TIERMEM_HPT_QUERY: "struct tiermem_hpt_query *",
    lib.TIERMEM_HPT_CLEAR: "__u32 *",
    lib.TIERMEM_HPT_GET_COUNTERS: "struct tiermem_hpt_counters *",
    lib.TIERMEM_HPT_SET_KINDS: "__u32 *",
}


@pytest.fixture
def device() -> Iterator[TrackerDevice]:
    with TrackerDevice() as device:
        yield device


def call(device: TrackerDevice, request: int, argument: Any) -> int:
    """The errno of an ioctl; 0 for success."""
    try:
        if isinstance(argument, int):
            fcntl.ioctl(device.fileno(), request, argument)
        else:
            fcntl.ioctl(device.fileno(), request, ffi.buffer(argument), True)
    except OSError as error:
        return error.errno or -1
    return 0


def pci_address() -> str:
    return next(entry.name for entry in DRIVER.iterdir() if entry.name.count(":") == 2)


def test_the_node_is_roots_alone() -> None:
    assert stat.S_IMODE(NODE.stat().st_mode) == 0o600
    assert NODE.stat().st_uid == 0


@pytest.mark.parametrize("pointer", [0, 1, KERNEL_ADDRESS, 2**63 - 8])
def test_a_bad_argument_pointer_is_a_fault(device: TrackerDevice, pointer: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for request in WITH_ARGUMENT:
        status = libc.ioctl(device.fileno(), ctypes.c_ulong(request), ctypes.c_void_p(pointer))
        assert (status, ctypes.get_errno()) == (-1, errno.EFAULT)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 4},
        {"kind": 2**32 - 1},
        {"max_entries": 0},
        {"max_entries": ENTRIES_MAX + 1},
        {"keep": 2},
    ],
)
def test_a_wrong_query_is_invalid(device: TrackerDevice, fields: dict[str, int]) -> None:
    argument = ffi.new("struct tiermem_hpt_query *", {"max_entries": 1} | fields)
    assert call(device, lib.TIERMEM_HPT_QUERY, argument) == errno.EINVAL


def test_a_query_that_cannot_deliver_keeps_the_list_for_a_read(device: TrackerDevice) -> None:
    argument = ffi.new("struct tiermem_hpt_query *", {"max_entries": 1, "entries_ptr": 8})
    device.set_config(DeviceConfig(track_base=0, track_bytes=1 << 40))
    device.select_kinds([ListKind.HPT])
    device.arm()
    time.sleep(0.5)
    device.disarm()
    assert call(device, lib.TIERMEM_HPT_QUERY, argument) == errno.EFAULT
    kept = device.read_list(timeout_s=1)
    assert kept is not None
    assert len(kept.entries) == 1


@pytest.mark.parametrize("kinds", [0x10, 0xFFFFFFFF])
def test_unknown_kinds_are_invalid(device: TrackerDevice, kinds: int) -> None:
    mask = ffi.new("__u32 *", kinds)
    assert call(device, lib.TIERMEM_HPT_CLEAR, mask) == errno.EINVAL
    assert call(device, lib.TIERMEM_HPT_SET_KINDS, mask) == errno.EINVAL


def test_an_unknown_request_is_none_of_its(device: TrackerDevice) -> None:
    assert call(device, 0xC5FF, 0) == errno.ENOTTY
    assert call(device, lib.TIERMEM_PROMOTE_COUNTERS, 0) == errno.ENOTTY


def random_query(rng: random.Random, argument: Any, entries: Any) -> None:
    """A query that may be right; half of the time with room for a list."""
    argument.kind = rng.randrange(5)
    argument.max_entries = rng.choice([0, 1, 25, ENTRIES_MAX, ENTRIES_MAX + 1])
    argument.keep = rng.randrange(3)
    room = int(ffi.cast("uintptr_t", entries))
    argument.entries_ptr = rng.choice([room, room, room, 0, KERNEL_ADDRESS, rng.getrandbits(64)])


def random_argument(rng: random.Random, request: int, good: DeviceConfig, entries: Any) -> Any:
    if request not in WITH_ARGUMENT or rng.random() < 0.1:
        return rng.randrange(4096)
    argument = ffi.new(WITH_ARGUMENT[request])
    raw = ffi.buffer(argument)
    if request == lib.TIERMEM_HPT_SET_CONFIG and rng.random() < 0.7:
        raw[:] = ffi.buffer(good.to_struct())[:]
        raw[rng.randrange(len(raw))] = rng.randbytes(1)
    elif request == lib.TIERMEM_HPT_QUERY and rng.random() < 0.7:
        random_query(rng, argument, entries)
    else:
        raw[:] = rng.randbytes(len(raw))
    return argument


def test_a_query_of_a_kind_that_is_not_tracked_is_busy(device: TrackerDevice) -> None:
    device.set_config(DeviceConfig(track_base=0, track_bytes=4096))
    with pytest.raises(KernelError, match=r"query WAC.*EBUSY"):
        device.query(ListKind.WAC)


def test_random_calls_end_in_a_known_errno(device: TrackerDevice) -> None:
    rng = random.Random(SEED)
    # CXL memory, which nothing but this test reads: the shortest period costs little.
    exact = frozenset({ListKind.PAC})
    good = DeviceConfig(track_base=1 << 32, track_bytes=1 << 32, exact=exact)
    query = lib.TIERMEM_HPT_QUERY
    requests = [*WITH_ARGUMENT, query, query, lib.TIERMEM_HPT_DISARM]
    entries = ffi.new("struct tiermem_list_entry[]", ENTRIES_MAX)
    seen: set[int] = set()
    lists_with_entries = 0
    with on_node(CXL, 64) as memory:
        for number in range(FUZZ_CALLS):
            # Arming makes QEMU translate everything anew, so it is done and drawn seldom.
            if number % 250 == 0:
                device.set_config(good)
                device.arm()
                assert memory.is_intact()
            rare = lib.TIERMEM_HPT_ARM if rng.random() < 0.02 else rng.getrandbits(32)
            request = rng.choice([*requests, rare])
            argument = random_argument(rng, request, good, entries)
            error = call(device, request, argument)
            seen.add(error)
            if request == query and not error:
                assert argument.nr_entries <= argument.max_entries
                counts = [entry.count for entry in entries[0 : argument.nr_entries]]
                assert counts == sorted(counts, reverse=True)
                lists_with_entries += bool(counts)
    # A period of a few reads may overwrite a list while it is copied.
    assert seen - {errno.EAGAIN} == {0, errno.EINVAL, errno.EFAULT, errno.EBUSY, errno.ENOTTY}
    assert lists_with_entries
    device.disarm()
    device.set_config(good)
    assert device.config() == good
    assert device.info().state is DeviceState.IDLE


def test_many_threads_at_once_do_not_get_in_each_others_way() -> None:
    failures: list[Exception] = []
    with TrackerDevice() as device:
        exact = frozenset({ListKind.PAC, ListKind.WAC})
        device.set_config(DeviceConfig(track_base=0, track_bytes=1 << 40, exact=exact))

    def use(seed: int) -> None:
        rng = random.Random(seed)
        try:
            with TrackerDevice() as own:
                for _ in range(60):
                    rng.choice([own.info, own.config, own.counters])()
                    own.query(rng.choice(list(ListKind)), rng.randint(1, 100))
                    own.read_list(timeout_s=0)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_the_module_stays_while_it_is_open_or_mapped() -> None:
    device = TrackerDevice()
    clock = device.clock()
    for release in (device.close, clock.close):
        done = subprocess.run(["rmmod", "tiermem_hpt"], capture_output=True, text=True)
        assert done.returncode != 0
        assert "in use" in done.stderr
        release()
    assert NODE.exists()


def read_until_gone(device: TrackerDevice, outcome: list[int]) -> None:
    try:
        os.read(device.fileno(), 1 << 17)
    except OSError as error:
        outcome.append(error.errno or -1)


def start_clock_watcher(device: TrackerDevice) -> int:
    """Fork a process that reads the mapped clock without end; its pid."""
    clock = device.clock()
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        signal.alarm(60)
        while True:
            clock.busy_ns()
    return child


def test_unbinding_answers_everybody_and_binding_again_starts_afresh() -> None:
    address = pci_address()
    device = TrackerDevice()
    device.select_kinds([])
    watcher = start_clock_watcher(device)
    outcome: list[int] = []
    reader = threading.Thread(target=read_until_gone, args=(device, outcome))
    reader.start()
    time.sleep(0.5)
    (DRIVER / "unbind").write_text(address)
    try:
        reader.join(10)
        assert outcome == [errno.ENODEV]
        assert os.waitstatus_to_exitcode(os.waitpid(watcher, 0)[1]) == -signal.SIGBUS
        assert not NODE.exists()
        with pytest.raises(KernelError, match="ENODEV"):
            device.info()
        with pytest.raises(KernelError, match="ENODEV"):
            device.read_list(timeout_s=5)
        with pytest.raises(MissingError):
            TrackerDevice()
    finally:
        (DRIVER / "bind").write_text(address)
    with TrackerDevice() as again:
        assert again.info().state is DeviceState.IDLE
        with pytest.raises(KernelError, match="ENODEV"):
            device.info()
    device.close()
