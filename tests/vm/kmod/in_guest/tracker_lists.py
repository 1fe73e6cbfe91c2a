"""The tracker device with the real hardware model behind it: arm, count, query, wait, clock."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memory import CXL, Memory, on_node
from tiermem.errors import KernelError
from tiermem.layer.tracker_config import DeviceConfig, ListKind, TierRange, TrackerConfig
from tiermem.layer.tracker_device import DeviceState, HotList, TrackerDevice

PAGE = 4096
OFF = TrackerConfig(enabled=False)
HOT_PAGES = 8


def cxl_range() -> tuple[int, int]:
    """Physical base and size of the CXL window, as /proc/iomem has it."""
    for line in Path("/proc/iomem").read_text().splitlines():
        if "System RAM (kmem)" in line:
            start, end = (int(part, 16) for part in line.split(":")[0].strip().split("-"))
            return start, end - start + 1
    raise LookupError("no CXL memory in /proc/iomem")


def a_config(**changes: object) -> DeviceConfig:
    base, size = cxl_range()
    config = DeviceConfig(
        track_base=base,
        track_bytes=size,
        ranges=(TierRange(base, size, 1),),
        exact=frozenset({ListKind.PAC}),
        hpt=TrackerConfig(),
        hwt=OFF,
    )
    return replace(config, **changes)


@pytest.fixture
def device() -> Iterator[TrackerDevice]:
    with TrackerDevice() as device:
        device.set_config(a_config())
        yield device
        device.disarm()


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    # Larger than the modelled last-level cache, so that reads reach the trackers.
    with on_node(CXL, 4096) as memory:
        yield memory


def read_all(memory: Memory, rounds: int = 1) -> None:
    for _ in range(rounds):
        assert memory.is_intact()


def frames_of(hot: HotList) -> set[int]:
    return set((hot.entries["address"] // PAGE).tolist())


def test_it_says_what_it_is(device: TrackerDevice) -> None:
    info = device.info()
    assert info.version == 1
    assert info.state is DeviceState.IDLE
    assert info.kinds == frozenset(ListKind)
    assert info.nr_vcpus == os.cpu_count()


def test_the_configuration_reads_back(device: TrackerDevice) -> None:
    wanted = a_config(hpt=TrackerConfig(rows=2, columns=1024, entries=10, period_reads=5000))
    device.set_config(wanted)
    assert device.config() == wanted


def test_a_refused_configuration_leaves_the_old_one(device: TrackerDevice) -> None:
    before = device.config()
    with pytest.raises(KernelError, match="EINVAL"):
        device.set_config(a_config(hpt=TrackerConfig(columns=1000)))
    assert device.config() == before


def test_arming_starts_the_clock_and_disarming_stops_it(device: TrackerDevice) -> None:
    clock = device.clock()
    device.arm()
    assert device.info().state is DeviceState.ARMED
    assert clock.is_armed()
    started = clock.busy_ns()
    sum(range(10000))
    assert clock.busy_ns() > started
    device.disarm()
    assert device.info().state is DeviceState.IDLE
    stopped = clock.busy_ns()
    sum(range(10000))
    assert clock.busy_ns() == stopped
    clock.close()


def test_a_query_lists_pages_that_were_read(device: TrackerDevice, memory: Memory) -> None:
    device.arm()
    read_all(memory)
    hot = device.query(ListKind.PAC, 4096)
    device.disarm()
    assert len(frames_of(hot) & set(memory.pfns().tolist())) > 3000
    counts = hot.entries["count"].tolist()
    assert counts == sorted(counts, reverse=True)
    assert hot.reads > 0


def test_a_query_clears_unless_told_to_keep(device: TrackerDevice, memory: Memory) -> None:
    device.arm()
    read_all(memory)
    device.disarm()
    kept = device.query(ListKind.HPT, 25, keep=True)
    again = device.query(ListKind.HPT, 25)
    cleared = device.query(ListKind.HPT, 25)
    assert len(kept.entries) == len(again.entries) == 25
    assert kept.entries.tolist() == again.entries.tolist()
    assert len(cleared.entries) == 0


def test_counters_follow_reads_in_the_tracked_range(device: TrackerDevice, memory: Memory) -> None:
    before = device.counters()
    device.arm()
    read_all(memory)
    device.disarm()
    after = device.counters()
    assert after.rearms == before.rearms + 1
    assert after.reads_tracked >= before.reads_tracked + memory.pages


def test_clear_takes_counts_away_without_a_list(device: TrackerDevice, memory: Memory) -> None:
    device.arm()
    read_all(memory)
    device.disarm()
    device.clear([ListKind.PAC])
    assert len(device.query(ListKind.PAC).entries) == 0


def with_period(device: TrackerDevice, reads: int) -> None:
    device.set_config(a_config(hpt=TrackerConfig(period_reads=reads)))


def test_lists_of_a_period_are_read_in_order(device: TrackerDevice, memory: Memory) -> None:
    device.select_kinds([ListKind.HPT])
    with_period(device, 200_000)
    device.arm()
    read_all(memory)
    device.disarm()
    lists = []
    while (hot := device.read_list(timeout_s=0)) is not None:
        lists.append(hot)
    assert lists
    assert all(hot.kind is ListKind.HPT for hot in lists)
    numbers = [hot.number for hot in lists]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert all(len(hot.entries) for hot in lists)


def test_queries_amid_a_period_bring_newer_ones(device: TrackerDevice, memory: Memory) -> None:
    with_period(device, 5_000)
    device.arm()
    reader = threading.Thread(target=read_all, args=(memory,))
    reader.start()
    times = []
    while reader.is_alive():
        times.append(device.query(ListKind.HPT, 25).busy_ns)
    device.disarm()
    assert [] != times == sorted(times)


def test_lists_overwritten_unread_are_counted_as_lost(
    device: TrackerDevice, memory: Memory
) -> None:
    device.select_kinds([ListKind.HPT])
    with_period(device, 20_000)
    device.arm()
    read_all(memory)
    device.disarm()
    first = device.read_list(timeout_s=1)
    assert first is not None
    assert first.lost > 0
    second = device.read_list(timeout_s=1)
    assert second is not None
    assert second.lost == 0
    assert device.counters().overruns[ListKind.HPT] > 0


def test_a_waiting_read_wakes_when_a_list_comes(device: TrackerDevice, memory: Memory) -> None:
    device.select_kinds([ListKind.HPT])
    with_period(device, 100_000)
    got: list[bytes] = []
    waiter = threading.Thread(target=lambda: got.append(os.read(device.fileno(), 1 << 17)))
    waiter.start()
    time.sleep(0.2)
    assert not got
    device.arm()
    read_all(memory)
    waiter.join(30)
    device.disarm()
    assert got


def test_poll_and_a_nonblocking_read_say_when_there_is_nothing(device: TrackerDevice) -> None:
    poller = select.poll()
    poller.register(device.fileno(), select.POLLIN)
    assert poller.poll(100) == []
    os.set_blocking(device.fileno(), False)
    with pytest.raises(BlockingIOError):
        os.read(device.fileno(), 1 << 17)


def test_every_file_reads_at_its_own_pace_and_only_its_kinds(
    device: TrackerDevice, memory: Memory
) -> None:
    with TrackerDevice() as other, TrackerDevice() as deaf:
        deaf.select_kinds([])
        other.select_kinds([ListKind.HPT])
        with_period(device, 100_000)
        device.arm()
        read_all(memory)
        device.disarm()
        mine, theirs = device.read_list(1), other.read_list(1)
        assert mine is not None
        assert theirs is not None
        assert mine.entries.tolist() == theirs.entries.tolist()
        assert deaf.read_list(0.1) is None


def test_a_list_asked_for_is_not_brought_again(device: TrackerDevice, memory: Memory) -> None:
    with TrackerDevice() as other:
        device.arm()
        read_all(memory)
        device.disarm()
        hot = device.query(ListKind.HPT, 25)
        assert device.read_list(0.1) is None
        seen = other.read_list(1)
        assert seen is not None
        assert seen.entries.tolist() == hot.entries.tolist()


def test_too_small_a_buffer_loses_nothing(device: TrackerDevice, memory: Memory) -> None:
    device.select_kinds([ListKind.HPT])
    with_period(device, 200_000)
    device.arm()
    read_all(memory)
    device.disarm()
    for size in (1, 32, 33):
        with pytest.raises(OSError, match="Message too long"):
            os.read(device.fileno(), size)
    hot = device.read_list(1)
    assert hot is not None
    assert hot.lost == 0


def test_the_clock_page_cannot_be_written(device: TrackerDevice) -> None:
    fd = device.fileno()
    with pytest.raises(PermissionError):
        mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(OSError, match="Invalid argument"):
        mmap.mmap(fd, 2 * PAGE, mmap.MAP_SHARED, mmap.PROT_READ)
    with pytest.raises(OSError, match="Invalid argument"):
        mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ, offset=PAGE)


def test_nor_be_made_writable_later(device: TrackerDevice) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, PAGE, mmap.PROT_READ, mmap.MAP_SHARED, device.fileno(), 0)
    readable_and_writable = mmap.PROT_READ | mmap.PROT_WRITE
    status = libc.mprotect(ctypes.c_void_p(address), PAGE, readable_and_writable)
    assert (status, ctypes.get_errno()) == (-1, errno.EACCES)
    libc.munmap(ctypes.c_void_p(address), PAGE)


def test_clock_totals_grow_with_traffic(device: TrackerDevice, memory: Memory) -> None:
    clock = device.clock()
    device.arm()
    before = clock.read()
    read_all(memory)
    after = clock.read()
    device.disarm()
    clock.close()
    assert after.busy_ns > before.busy_ns
    grown = int(after.tiers["read_bytes"][1]) - int(before.tiers["read_bytes"][1])
    assert grown >= memory.pages * PAGE // 2
    assert int(after.vcpus["instructions"].sum()) > int(before.vcpus["instructions"].sum())
    assert np.all(after.vcpus["busy_ns"] >= before.vcpus["busy_ns"])
