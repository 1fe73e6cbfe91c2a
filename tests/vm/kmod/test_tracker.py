"""The tracker driver on both kernels, with the real hardware model as its device."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tiermem.layer.tracker_config import DeviceConfig
from tiermem.native._uapi import ffi, lib
from tiermem.testbed import Guest

from bench.host_bar import HostBar
from tests.vm.guest_python import ENVIRONMENT
from tests.vm.kmod.guest_modules import load, run_cases, unload

ANSWER_S = 300

# Says when it has opened the device, then waits for one list, and tells how that ended.
WAIT_FOR_ONE = """
exec 3< /dev/tiermem_hpt0
touch /opt/tiermem/out/opened
timeout 20 dd bs=131072 count=1 <&3 2>&1 >/dev/null
echo status $?
timeout 1 dd bs=131072 count=1 <&3 2>&1 >/dev/null
echo status $?
"""
STATUS_OF_TIMEOUT = 124
ARM = "import fcntl, sys; fcntl.ioctl(open('/dev/tiermem_hpt0', 'rb'), int(sys.argv[1]))"
SHOW_CONFIG = (
    "from tiermem.layer.tracker_device import TrackerDevice; print(TrackerDevice().config())"
)


def test_lists_queries_and_the_clock_and_misuse_loses_nothing(kmod_guest: Guest) -> None:
    run_cases(kmod_guest, "tracker_lists.py", "tracker_misuse.py")


def test_a_configuration_from_the_hosts_side_is_read_back(kmod_guest: Guest) -> None:
    wanted = DeviceConfig(track_base=1 << 32, track_bytes=123 << 20)
    with HostBar(kmod_guest.bar_path) as bar, registers_put_back(bar):
        bar.regs.config = wanted.to_struct()[0]
        assert bar.command(lib.TIERMEM_CMD_CONFIGURE) == lib.TIERMEM_HWERR_NONE
        show = ["python3", "-c", SHOW_CONFIG]
        shown = kmod_guest.check(show, env=ENVIRONMENT, timeout_s=ANSWER_S).stdout
    assert shown.strip() == repr(wanted)


@contextmanager
def registers_put_back(bar: HostBar) -> Iterator[None]:
    """Afterwards the device has the configuration that it had before."""
    before = ffi.new("struct tiermem_hw_config *", bar.regs.config)
    yield
    bar.regs.config = before[0]
    bar.command(lib.TIERMEM_CMD_CONFIGURE)


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


@contextmanager
def waiting_reader(guest: Guest) -> Iterator[list[str]]:
    """A reader that waits in the guest; after the block the list has what it said."""
    opened = guest.out_dir / "opened"
    opened.unlink(missing_ok=True)
    said: list[str] = []

    def read() -> None:
        done = guest.exec(["sh", "-c", WAIT_FOR_ONE], timeout_s=ANSWER_S)
        said.extend(done.stdout.splitlines())

    reader = threading.Thread(target=read)
    reader.start()
    wait_for(opened.exists, ANSWER_S)
    yield said
    reader.join()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
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
    with waiting_reader(kmod_guest) as said:
        number = device_memory.list_head[0]
        slot = list_slot(device_memory, 0, number)
        slot.number = number + number_off
        slot.nr_entries = nr_entries
        device_memory.list_head[0] = number + 1
    assert any("Input/output error" in line for line in said)
    assert said[-1] == f"status {STATUS_OF_TIMEOUT}"


def test_wild_list_heads_do_no_harm(kmod_guest: Guest, device_memory: Any) -> None:
    with waiting_reader(kmod_guest) as said:
        for kind in range(lib.TIERMEM_LIST_KINDS):
            device_memory.list_head[kind] += 0x4000_0000 << (kind % 2)
    assert len([line for line in said if line.startswith("status")]) == 2


def test_a_device_without_a_model_refuses_commands(kmod_guest: Guest, device_memory: Any) -> None:
    device_memory.state = lib.TIERMEM_STATE_ABSENT
    attempt = ["python3", "-c", ARM, str(lib.TIERMEM_HPT_ARM)]
    done = kmod_guest.exec(attempt, timeout_s=ANSWER_S)
    assert done.status == 1
    assert "No such device" in done.stderr


def test_memory_without_the_magic_is_not_bound(kmod_guest: Guest, device_memory: Any) -> None:
    unload(kmod_guest)
    device_memory.magic = 0
    load(kmod_guest)
    assert kmod_guest.exec(["test", "-e", "/dev/tiermem_hpt0"]).status == 1
    unload(kmod_guest)
    device_memory.magic = lib.TIERMEM_MAGIC
    load(kmod_guest)
    assert kmod_guest.exec(["test", "-e", "/dev/tiermem_hpt0"]).status == 0
