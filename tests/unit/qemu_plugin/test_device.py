"""The device behind its register page: commands, lists, clock and counters."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from tiermem.native._uapi import lib

from bench.host_bar import read_pac
from tests.unit.qemu_plugin.conftest import ARM, DISARM, LLC_BYTES, STAY, Device

CXL_BASE, CXL_BYTES = 256 << 20, 64 << 20
LINE, PAGE = 64, 4096


def test_a_new_device_is_idle_and_says_what_it_is(device: Device) -> None:
    regs = device.regs
    assert regs.magic == int.from_bytes(b"TIERMEM1", "little")
    assert (regs.version, regs.state, regs.nr_vcpus) == (1, lib.TIERMEM_STATE_IDLE, 1)
    assert not device.library.device_is_rung(device.handle)


def test_arming_ends_when_the_hooks_are_there_and_holds_commands_back(device: Device) -> None:
    block = device.store(lib.TIERMEM_CMD_ARM)
    assert device.poll() == ARM
    behind = device.store(lib.TIERMEM_CMD_NOP, side="host")
    assert device.poll() == STAY
    assert block.completed != block.doorbell
    assert behind.completed != behind.doorbell

    device.switch(True)
    assert block.completed == block.doorbell
    assert device.regs.state == lib.TIERMEM_STATE_ARMED
    assert device.poll() == STAY
    assert behind.completed == behind.doorbell

    device.store(lib.TIERMEM_CMD_DISARM, side="host")
    assert device.poll() == DISARM
    device.switch(False)
    assert device.regs.state == lib.TIERMEM_STATE_IDLE
    assert device.regs.rearms == 1


def test_a_command_rung_while_arming_has_an_answer_of_its_own(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    arm = device.store(lib.TIERMEM_CMD_ARM).doorbell
    assert device.poll() == ARM
    device.regs.config.hpt.columns = 1000
    block = device.store(lib.TIERMEM_CMD_CONFIGURE)
    assert block.doorbell != arm

    device.switch(True)
    assert (block.completed, block.error) == (arm, lib.TIERMEM_HWERR_NONE)
    assert device.library.device_is_rung(device.handle)
    assert device.poll() == STAY
    assert (block.completed, block.error) == (block.doorbell, lib.TIERMEM_HWERR_CONFIG)


def test_guest_and_host_have_their_own_answers(device: Device) -> None:
    assert device.ring(77, side="guest") == lib.TIERMEM_HWERR_OPCODE
    assert device.ring(lib.TIERMEM_CMD_NOP, side="host") == lib.TIERMEM_HWERR_NONE
    assert device.regs.guest.error == lib.TIERMEM_HWERR_OPCODE


def test_fills_and_write_backs_go_to_the_tier_of_their_address(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    lines = 2 * LLC_BYTES // LINE
    for line in range(lines):
        device.access(CXL_BASE + line * LINE, write=True, instructions=line)
    for line in range(lines):
        device.access(line * LINE, instructions=lines + line)
    dram, cxl = device.bar.clock().tiers
    assert (int(cxl["reads"]), int(dram["reads"])) == (lines, lines)
    # Every dirty line has left: reads of DRAM pushed the last of them out.
    assert (int(cxl["writes"]), int(dram["writes"])) == (lines, 0)
    assert int(cxl["read_bytes"]) == int(cxl["write_bytes"]) == lines * LINE
    assert device.regs.reads_tracked == lines
    assert device.regs.writes_seen == lines


def test_a_line_in_the_cache_is_read_once(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    for turn in range(10):
        device.access(CXL_BASE, instructions=turn)
    assert int(device.bar.clock().tiers[1]["reads"]) == 1
    assert int(device.bar.clock().vcpus[0]["llc_hits"]) == 9


def test_the_pac_file_has_every_page_of_every_tier(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    rng = np.random.default_rng(7)
    pages = np.concatenate(
        [rng.integers(0, 100, 500), CXL_BASE // PAGE + rng.integers(0, 100, 500)]
    )
    expected = np.zeros((1 << 30) // PAGE, dtype=np.uint64)
    seen = set()
    for number, (page, line) in enumerate(zip(pages, rng.integers(0, 64, 1000), strict=True)):
        device.access(int(page) * PAGE + int(line) * LINE, instructions=number)
        if (page, line) not in seen:  # far fewer lines than the cache has
            expected[page] += 1
            seen.add((page, line))
    assert np.array_equal(read_pac(device.pac_path), expected)


def test_a_query_puts_the_hottest_pages_into_the_ring(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    for page, lines in ((3, 5), (9, 50), (4, 20)):
        for line in range(lines):
            device.access(CXL_BASE + page * PAGE + line * LINE)
    for kind in (lib.TIERMEM_LIST_HPT, lib.TIERMEM_LIST_PAC):
        assert device.ring(lib.TIERMEM_CMD_QUERY, kind, 2) == lib.TIERMEM_HWERR_NONE
        hottest = [(CXL_BASE + 9 * PAGE, 50), (CXL_BASE + 4 * PAGE, 20)]
        assert device.bar.list_entries(kind) == hottest


def test_lists_nobody_consumed_are_counted_when_overwritten(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    kind = lib.TIERMEM_LIST_HPT
    for _ in range(6):
        device.ring(lib.TIERMEM_CMD_QUERY, kind, 25)
    assert device.regs.list_head[kind] == 6
    assert device.regs.list_overruns[kind] == 2
    device.regs.list_tail[kind] = 6
    device.ring(lib.TIERMEM_CMD_QUERY, kind, 25)
    assert device.regs.list_overruns[kind] == 2


def test_a_refused_configuration_leaves_ranges_and_trackers_alone(device: Device) -> None:
    assert device.configure(CXL_BASE, CXL_BYTES) == lib.TIERMEM_HWERR_NONE
    device.access(CXL_BASE)
    config = device.regs.config
    # Ranges alone would be taken, the tracker would not: neither may be.
    config.ranges[0].base = 0
    config.hpt.columns = 1000
    assert device.ring(lib.TIERMEM_CMD_CONFIGURE) == lib.TIERMEM_HWERR_CONFIG
    device.access(CXL_BASE + PAGE)
    assert int(device.bar.clock().tiers[1]["reads"]) == 2
    device.ring(lib.TIERMEM_CMD_QUERY, lib.TIERMEM_LIST_HPT, 25)
    assert len(device.bar.list_entries(lib.TIERMEM_LIST_HPT)) == 2


def test_busy_time_is_instructions_times_their_cost_plus_stalls(device: Device) -> None:
    device.access(0, instructions=1000)
    vcpu = device.bar.clock().vcpus[0]
    assert int(vcpu["instructions"]) == 1000
    assert int(vcpu["stall_ns"]) == 100  # one lone read of DRAM
    assert int(vcpu["busy_ns"]) == 1000 * 250 // 1000 + 100


def test_arming_again_starts_with_empty_caches_and_goes_on_with_the_clock(device: Device) -> None:
    for _ in range(2):
        device.store(lib.TIERMEM_CMD_ARM)
        device.poll()
        device.switch(True)
        device.access(0, instructions=1000)
        device.store(lib.TIERMEM_CMD_DISARM)
        device.poll()
        device.switch(False)
    clock = device.bar.clock()
    assert int(clock.tiers[0]["reads"]) == 2
    assert int(clock.vcpus[0]["instructions"]) == 1000


def test_closing_leaves_an_absent_device(device: Device) -> None:
    assert device.regs.state == lib.TIERMEM_STATE_IDLE
    other = Device(device.library, device.pac_path.parent)
    other.bar.close()
    other.library.device_close(other.handle)
    assert device.regs.magic == 0
    assert device.regs.state == lib.TIERMEM_STATE_ABSENT


def test_what_was_accessed_can_be_recorded_for_replay(library: ctypes.CDLL, tmp_path: Path) -> None:
    device = Device(library, tmp_path, trace=str(tmp_path / "trace"), trace_records="5")
    rng = np.random.default_rng(3)
    addresses = rng.integers(0, 1 << 30, 3)
    for address, write, instructions in zip(addresses, (0, 1, 0), (10, 30, 9000), strict=True):
        device.access(int(address), write=bool(write), instructions=instructions)
    device.access(0, instructions=9001)  # the fifth record
    device.access(0, instructions=9002)  # no room
    device.close()
    header = np.fromfile(tmp_path / "trace", dtype="<u8", count=8)
    records = np.fromfile(tmp_path / "trace", dtype="<u8", offset=64)
    assert header[0] == int.from_bytes(b"TIERTRC1", "little")
    assert list(header[2:4]) == [5, 1]
    assert records.size == 5
    # A gap of 8970 instructions does not fit a record: it has one of its own.
    assert list(records >> 50) == [10 << 2, 20 << 2 | 2, 1, 0, 1 << 2]
    low = records & ((1 << 50) - 1)
    assert list(low) == [*addresses[:2], 8970, addresses[2], 0]
