"""What the promoter says of each kind of page, and that it says so truly."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from held_pages import hugetlb_page, pinned_by_io_uring, referenced_by_pipe
from memory import CXL, DRAM, PAGE, THP_PAGES, Memory, all_but, of_file, on_node, vmstat
from tiermem.layer.pages.frames import PageFlag, read_flags
from tiermem.layer.promote_device import PromoteCode, PromoteDevice


@pytest.fixture(scope="module")
def device() -> Iterator[PromoteDevice]:
    with PromoteDevice() as device:
        yield device


def codes_of(device: PromoteDevice, memory: Memory, node: int) -> set[PromoteCode]:
    return {PromoteCode(code) for code in device.promote(memory.pfns(), node).codes}


def test_base_pages_move_with_their_content(device: PromoteDevice) -> None:
    with on_node(CXL, 1000) as memory:
        old = memory.pfns()
        migrated = vmstat("pgmigrate_success")
        result = device.promote(old, DRAM)
        assert result.count(PromoteCode.MOVED) == result.moved_pages == 1000
        assert vmstat("pgmigrate_success") - migrated == 1000
        assert memory.nodes() == {DRAM}
        assert memory.is_intact()
        assert not set(old.tolist()) & set(memory.pfns().tolist())
        assert result.isolate_ns > 0
        assert result.migrate_ns > 0


def test_pages_move_both_ways(device: PromoteDevice) -> None:
    with on_node(CXL, 64) as memory:
        for node in (DRAM, CXL, DRAM):
            assert codes_of(device, memory, node) == {PromoteCode.MOVED}
            assert memory.nodes() == {node}
        assert memory.is_intact()


def test_a_page_on_the_target_stays_and_is_told_from_a_moved_one(device: PromoteDevice) -> None:
    with on_node(DRAM, 8) as memory:
        result = device.promote(memory.pfns(), DRAM)
        assert set(result.codes) == {PromoteCode.ALREADY_THERE}
        assert result.moved_pages == 0


def test_codes_are_in_the_order_asked(device: PromoteDevice) -> None:
    with on_node(CXL, 3) as slow, on_node(DRAM, 3) as fast:
        mixed = np.empty(6, dtype=np.uint64)
        mixed[0::2], mixed[1::2] = slow.pfns(), fast.pfns()
        expected = [PromoteCode.MOVED, PromoteCode.ALREADY_THERE] * 3
        assert device.promote(mixed, DRAM).codes.tolist() == expected


def test_ranges_give_one_code_a_page(device: PromoteDevice) -> None:
    with on_node(CXL, 6) as memory:
        pfns = memory.pfns()
        result = device.ranges([(int(pfn), 1) for pfn in pfns], DRAM)
        assert result.codes.tolist() == [PromoteCode.MOVED] * 6
        assert memory.nodes() == {DRAM}


def test_one_page_of_a_large_folio_moves_all_of_it(device: PromoteDevice) -> None:
    with on_node(CXL, THP_PAGES, huge=True) as memory:
        assert memory.huge_pages() == THP_PAGES
        pfns = memory.pfns()
        result = device.promote(pfns[[300, 7, 511]], DRAM)
        assert result.codes.tolist() == [
            PromoteCode.MOVED,
            PromoteCode.DUPLICATE,
            PromoteCode.DUPLICATE,
        ]
        assert result.moved_pages == THP_PAGES
        assert memory.nodes() == {DRAM}
        assert memory.huge_pages() == THP_PAGES
        assert memory.is_intact()


def test_a_large_folio_that_is_partly_unmapped_moves_in_pieces(device: PromoteDevice) -> None:
    with on_node(CXL, THP_PAGES, huge=True) as memory:
        pfns = memory.pfns()
        memory.area.madvise(mmap.MADV_DONTNEED, memory.offset + 256 * PAGE, 256 * PAGE)
        result = device.promote(pfns[[10]], DRAM)
        assert result.codes.tolist() == [PromoteCode.MOVED]
        moved = memory.pfns()[:256] != pfns[:256]
        assert moved[10]
        assert np.count_nonzero(moved) <= result.moved_pages <= THP_PAGES


def test_the_same_frame_twice_is_a_duplicate(device: PromoteDevice) -> None:
    with on_node(CXL, 2) as memory:
        first, second = memory.pfns()
        result = device.promote(np.array([first, second, first], dtype=np.uint64), DRAM)
        assert result.codes.tolist() == [
            PromoteCode.MOVED,
            PromoteCode.MOVED,
            PromoteCode.DUPLICATE,
        ]
        assert result.moved_pages == 2


def test_a_page_that_two_processes_map_moves_for_both(device: PromoteDevice) -> None:
    with on_node(CXL, 16) as memory:
        go_read, go_write = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(go_read, 1)
            os._exit(0 if memory.nodes() == {DRAM} and memory.is_intact() else 1)
        assert codes_of(device, memory, DRAM) == {PromoteCode.MOVED}
        os.write(go_write, b"x")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_mapped_file_page_moves(device: PromoteDevice) -> None:
    with of_file(Path("/dev/shm/tiermem-test"), 32, CXL) as memory:
        assert codes_of(device, memory, DRAM) == {PromoteCode.MOVED}
        assert memory.nodes() == {DRAM}
        assert memory.is_intact()


def test_a_locked_in_page_moves(device: PromoteDevice) -> None:
    with on_node(CXL, 8) as memory:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mlock(ctypes.c_void_p(memory.address), ctypes.c_size_t(8 * PAGE)) == 0
        assert codes_of(device, memory, DRAM) == {PromoteCode.MOVED}
        assert memory.nodes() == {DRAM}


def test_free_and_kernel_pages_are_not_mapped(device: PromoteDevice) -> None:
    with on_node(CXL, 1) as memory:
        around = memory.pfns()[0] // 32768 * 32768 + np.arange(32768, dtype=np.uint64)
    flags = read_flags(around)
    free = around[(flags & np.uint64(PageFlag.BUDDY)) != 0][:64]
    assert len(free)
    outcome = device.promote(free, DRAM, dry_run=True)
    # Some may have been taken since their flags were read.
    assert outcome.count(PromoteCode.NOT_MAPPED) >= 0.9 * len(free)

    low = np.arange(0x1000, 0x10000, dtype=np.uint64)
    kernel = low[(read_flags(low) & np.uint64(PageFlag.SLAB | PageFlag.PGTABLE)) != 0][:256]
    assert len(kernel)
    outcome = device.promote(kernel, CXL)
    # Slabs of several pages are folios too.
    assert set(outcome.codes) <= {PromoteCode.NOT_MAPPED, PromoteCode.DUPLICATE}
    assert outcome.moved_pages == 0


def test_a_number_beyond_all_memory_is_no_frame(device: PromoteDevice) -> None:
    beyond = np.array([2**40, 2**52 - 1, 2**52, 2**63, 2**64 - 1], dtype=np.uint64)
    assert set(device.promote(beyond, DRAM).codes) == {PromoteCode.NO_SUCH_PFN}


def test_a_number_that_ends_like_a_frame_met_before_is_no_frame(device: PromoteDevice) -> None:
    with on_node(CXL, 1) as memory:
        frame = memory.pfns()[0]
        wild = frame + np.array([0, 2**52, 2**58, 2**63], dtype=np.uint64)
        outcome = device.promote(wild, DRAM)
        expected = [PromoteCode.MOVED] + [PromoteCode.NO_SUCH_PFN] * 3
        assert outcome.codes.tolist() == expected


def test_a_pinned_page_is_not_movable(device: PromoteDevice) -> None:
    with on_node(DRAM, 4) as memory, pinned_by_io_uring(memory.address, 4 * PAGE):
        assert codes_of(device, memory, CXL) == {PromoteCode.NOT_MOVABLE}
        assert memory.nodes() == {DRAM}


def test_a_hugetlb_page_is_not_movable(device: PromoteDevice) -> None:
    with hugetlb_page() as pfn:
        frames = np.array([pfn, pfn + 3], dtype=np.uint64)
        outcome = device.promote(frames, CXL)
        assert outcome.codes.tolist() == [PromoteCode.NOT_MOVABLE, PromoteCode.DUPLICATE]


def test_a_page_that_the_kernel_cannot_move_is_refused_and_stays(device: PromoteDevice) -> None:
    with on_node(CXL, 4) as memory, referenced_by_pipe(memory.address, 4 * PAGE):
        before = memory.pfns()
        outcome = device.promote(before, DRAM)
        assert set(outcome.codes) == {PromoteCode.REFUSED}
        assert outcome.moved_pages == 0
        assert (memory.pfns() == before).all()
        assert memory.is_intact()


def test_a_dry_run_judges_and_moves_nothing(device: PromoteDevice) -> None:
    with on_node(CXL, 8) as memory:
        before, totals = memory.pfns(), device.counters()
        outcome = device.promote(before, DRAM, dry_run=True)
        assert set(outcome.codes) == {PromoteCode.MOVED}
        assert outcome.moved_pages == 0
        assert (memory.pfns() == before).all()
        assert device.counters() == totals


def test_counters_add_up(device: PromoteDevice) -> None:
    with on_node(CXL, THP_PAGES, huge=True) as huge, on_node(DRAM, 3) as fast:
        before = device.counters()
        device.promote(np.concatenate([huge.pfns()[:2], fast.pfns()]), DRAM)
        after = device.counters()
    assert after.calls == before.calls + 1
    assert after.moved_pages == before.moved_pages + THP_PAGES
    grown = {code: after.results[code] - before.results[code] for code in PromoteCode}
    assert {code: n for code, n in grown.items() if n} == {
        PromoteCode.MOVED: 1,
        PromoteCode.DUPLICATE: 1,
        PromoteCode.ALREADY_THERE: 3,
    }
    assert after.migrate_ns > before.migrate_ns


def test_no_pages_is_an_answer(device: PromoteDevice) -> None:
    outcome = device.promote(np.empty(0, dtype=np.uint64), DRAM)
    assert (len(outcome.codes), outcome.moved_pages) == (0, 0)


def test_a_full_target_takes_what_fits_and_says_no_memory_of_the_rest(
    device: PromoteDevice,
) -> None:
    with on_node(DRAM, 6000) as memory, all_but(3000, CXL):
        outcome = device.promote(memory.pfns(), CXL)
        moved = outcome.count(PromoteCode.MOVED)
        assert outcome.count(PromoteCode.NO_MEMORY) == 6000 - moved
        assert 0 < moved == outcome.moved_pages < 6000
        assert np.count_nonzero(memory.node_of_each() == CXL) == moved
        assert memory.is_intact()
