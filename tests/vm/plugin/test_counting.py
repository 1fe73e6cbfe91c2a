"""What the trackers, PAC and the tiers' counters say of accesses that are known.

Sweeps are much larger than the 8 MiB cache and go round in order, so under true
LRU every line of every pass misses: what should be counted is known exactly.
The rest of the guest touches these pages only by accident (the tolerance).
"""

from __future__ import annotations

import numpy as np
from tiermem.native._uapi import lib

from tests.vm.plugin.conftest import PAGE_BYTES, Device, Sweep

LINES_A_PAGE = 64
LINE_BYTES = 64
PAGES = 8192  # 32 MiB


def test_every_line_of_a_sweep_is_counted_once_a_pass_at_its_page(device: Device) -> None:
    passes = 3
    swept = device.sweep(Sweep(PAGES, passes=passes))
    expected = LINES_A_PAGE * passes
    assert np.all(swept.reads >= expected), "a read of the sweep was not counted"
    # A page may see a few more where the kernel looks at it (a page table walk
    # does not count, a copy does); the sum may not drift by more than 1 %.
    assert np.median(swept.reads) == expected
    assert swept.reads.sum() <= 1.01 * expected * PAGES


def test_reads_are_read_bytes_of_the_tier_they_lie_in(device: Device) -> None:
    for node, tier in ((1, 1), (0, 0)):
        swept = device.sweep(Sweep(PAGES, node=node))
        moved = {
            name: swept.after.tiers[name].astype(int) - swept.before.tiers[name].astype(int)
            for name in ("read_bytes", "write_bytes")
        }
        assert moved["read_bytes"][tier] >= PAGES * PAGE_BYTES
        if tier == 1:
            # Nothing but the sweep lives there; it wrote nothing while armed.
            assert moved["read_bytes"][1] <= 1.05 * PAGES * PAGE_BYTES
            assert moved["write_bytes"][1] <= 0.05 * PAGES * PAGE_BYTES
        else:
            assert moved["read_bytes"][1] <= 0.05 * PAGES * PAGE_BYTES


def test_a_store_miss_reads_the_line_and_writes_it_back_later(device: Device) -> None:
    swept = device.sweep(Sweep(PAGES, passes=2, way="w"))
    before, after = swept.before.tiers[1], swept.after.tiers[1]
    lines = 2 * PAGES * LINES_A_PAGE
    assert lines <= int(after["reads"]) - int(before["reads"]) <= 1.05 * lines
    # All but what still lies dirty in the cache at the end.
    written = int(after["writes"]) - int(before["writes"])
    assert lines - (8 << 20) // LINE_BYTES <= written <= 1.05 * lines


def test_a_string_store_of_whole_lines_reads_nothing(device: Device) -> None:
    swept = device.sweep(Sweep(PAGES, passes=2, way="s"))
    before, after = swept.before.tiers[1], swept.after.tiers[1]
    lines = 2 * PAGES * LINES_A_PAGE
    assert int(after["reads"]) - int(before["reads"]) <= 0.05 * lines
    assert np.median(swept.reads) == 0
    written = int(after["writes"]) - int(before["writes"])
    assert lines - (8 << 20) // LINE_BYTES <= written <= 1.05 * lines


def test_hot_pages_lead_the_list_and_a_query_clears(device: Device) -> None:
    hot = 16
    swept = device.sweep(Sweep(PAGES, lines=16, hot_pages=hot, passes=4))
    addresses = [address for address, _ in device.query(lib.TIERMEM_LIST_HPT)]
    expected = {int(frame) * PAGE_BYTES for frame in swept.frames[:hot]}
    assert set(addresses[:hot]) == expected
    assert device.query(lib.TIERMEM_LIST_HPT) == []


def test_exact_lists_agree_with_the_exported_counters(device: Device) -> None:
    assert device.bar.command(lib.TIERMEM_CMD_CLEAR, 0b1111) == lib.TIERMEM_HWERR_NONE
    before = device.pac()
    device.sweep(Sweep(PAGES, lines=16, hot_pages=32, passes=2))
    grown = device.pac() - before
    entries = device.query(lib.TIERMEM_LIST_PAC, 4096)
    assert len(entries) == 4096
    for address, count in entries:
        assert count == grown[address // PAGE_BYTES]
    counts = [count for _, count in entries]
    assert counts == sorted(counts, reverse=True)


def test_only_reads_in_the_tracked_range_count(device: Device) -> None:
    base, size = device.cxl
    config = device.bar.regs.config
    config.track_base, config.track_bytes = base + size // 2, PAGE_BYTES
    assert device.bar.command(lib.TIERMEM_CMD_CONFIGURE) == lib.TIERMEM_HWERR_NONE
    device.sweep(Sweep(PAGES))
    regs = device.bar.regs
    assert regs.reads_tracked <= 2 * LINES_A_PAGE
    assert regs.reads_ignored >= (PAGES - 1) * LINES_A_PAGE


def test_lists_come_by_themselves_after_a_period_and_overruns_are_counted(
    device: Device,
) -> None:
    reads = 16384
    assert device.configure(hpt={"period_reads": reads}) == lib.TIERMEM_HWERR_NONE
    regs = device.bar.regs
    kind = lib.TIERMEM_LIST_HPT
    regs.list_tail[kind] = regs.list_head[kind]
    head, overruns = regs.list_head[kind], regs.list_overruns[kind]
    device.sweep(Sweep(PAGES))
    lists = regs.list_head[kind] - head
    assert PAGES * LINES_A_PAGE // reads <= lists <= PAGES * LINES_A_PAGE // reads + 2
    assert regs.list_overruns[kind] - overruns == lists - lib.TIERMEM_LIST_SLOTS
