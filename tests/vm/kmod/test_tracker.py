"""The tracker driver on both kernels, with the real hardware model as its device."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tiermem.native._uapi import ffi, lib
from tiermem.testbed import Guest

from tests.vm.kmod.guest_modules import load, run_cases, run_python, unload


def test_lists_queries_and_the_clock(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "tracker_lists.py")


def test_misuse_has_an_errno_and_loses_nothing(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "tracker_misuse.py")


@pytest.fixture
def device_memory(kmod_guest: Guest) -> Iterator[Any]:
    """The device's memory from its own side, put back as it was afterwards."""
    with kmod_guest.bar_path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), lib.TIERMEM_BAR_BYTES)
    before = memory[: lib.TIERMEM_CLOCK_OFFSET]
    regs = ffi.from_buffer("struct tiermem_regs *", memory)
    yield regs
    guest_side = regs.guest.doorbell, regs.guest.completed
    memory[: lib.TIERMEM_CLOCK_OFFSET] = before
    regs.guest.doorbell, regs.guest.completed = guest_side
    ffi.release(regs)
    memory.close()


def list_slot(regs: Any, kind: int, number: int) -> Any:
    slot = kind * lib.TIERMEM_LIST_SLOTS + number % lib.TIERMEM_LIST_SLOTS
    address = ffi.cast("char *", regs) + lib.TIERMEM_LISTS_OFFSET + slot * lib.TIERMEM_LIST_BYTES
    return ffi.cast("struct tiermem_list *", address)


WAIT_FOR_ONE = """
import os, sys
from tiermem.errors import KernelError
from tiermem.layer.tracker_device import TrackerDevice
with TrackerDevice() as device:
    open("/opt/tiermem/out/opened", "w").close()
    try:
        print(device.read_list(timeout_s=30))
    except KernelError as error:
        print(error)
    print(device.read_list(timeout_s=0.2))
"""


@contextmanager
def in_background(guest: Guest, code: str) -> Iterator[Callable[[], list[str]]]:
    """Run Python in the guest meanwhile; after the block its output's lines can be asked for."""
    lines: list[str] = []
    runner = threading.Thread(
        target=lambda: lines.extend(run_python(guest, code).stdout.splitlines())
    )
    runner.start()
    yield lambda: lines
    runner.join()


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("number_off", "nr_entries"),
    [(0, lib.TIERMEM_LIST_ENTRIES_MAX + 1), (0, 2**32 - 1), (1, 1)],
    ids=["one entry too many", "four billion entries", "another list's number"],
)
def test_a_list_that_cannot_be_is_an_error_once_and_then_skipped(
    kmod_guest: Guest, device_memory: Any, number_off: int, nr_entries: int
) -> None:
    opened = kmod_guest.out_dir / "opened"
    opened.unlink(missing_ok=True)
    with in_background(kmod_guest, WAIT_FOR_ONE) as answer:
        wait_for(opened.exists)
        number = device_memory.list_head[0]
        slot = list_slot(device_memory, 0, number)
        slot.number = number + number_off
        slot.nr_entries = nr_entries
        device_memory.list_head[0] = number + 1
    assert "(EIO)" in answer()[0]
    assert answer()[1] == "None"


def test_wild_list_heads_do_no_harm(kmod_guest: Guest, device_memory: Any) -> None:
    opened = kmod_guest.out_dir / "opened"
    opened.unlink(missing_ok=True)
    with in_background(kmod_guest, WAIT_FOR_ONE) as answer:
        wait_for(opened.exists)
        for kind in range(lib.TIERMEM_LIST_KINDS):
            device_memory.list_head[kind] += 0x4000_0000 << (kind % 2)
    assert len(answer()) == 2


def test_a_device_without_a_model_refuses_commands(kmod_guest: Guest, device_memory: Any) -> None:
    device_memory.state = lib.TIERMEM_STATE_ABSENT
    code = "from tiermem.layer.tracker_device import TrackerDevice as T; T().arm()"
    with pytest.raises(Exception, match="ENODEV"):
        run_python(kmod_guest, code)


def test_memory_without_the_magic_is_not_bound(kmod_guest: Guest, device_memory: Any) -> None:
    unload(kmod_guest)
    device_memory.magic = 0
    load(kmod_guest)
    assert kmod_guest.exec(["test", "-e", "/dev/tiermem_hpt0"]).status == 1
    unload(kmod_guest)
    device_memory.magic = lib.TIERMEM_MAGIC
    load(kmod_guest)
    assert kmod_guest.exec(["test", "-e", "/dev/tiermem_hpt0"]).status == 0
