"""What a mapping of an image is to its process: its own memory, as it was."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
from pathlib import Path

import pytest
from held_pages import IoVec, pinned_by_io_uring
from images import (
    BASE,
    PAGE,
    READ_WRITE,
    Image,
    Mapping,
    Run,
    check,
    in_child,
    libc,
    pool_pages,
    stored,
    value_of,
)

SMALL = [Run(BASE + 3, 40, 512), Run(BASE + 50, 10, 600)]
MADV_POPULATE_WRITE = 23


def test_pages_read_as_they_were_stored() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        assert (
            mapping.values()
            == [0] * 3 + stored(BASE + 3, 40) + [0] * 7 + stored(BASE + 50, 10) + [0] * 4
        )
        assert image.count("mapped_pages") == 50
        assert image.count("zero_pages") == 14
        assert image.count("copied_pages") == 0


def test_pages_are_mapped_a_window_at_a_time() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        assert mapping.words()[20, 0] == value_of(BASE + 20)
        assert image.count("faults") == 1
        assert image.count("mapped_pages") == 16


@pytest.mark.parametrize("is_read_first", [False, True], ids=["untouched", "read before"])
def test_a_write_reaches_neither_the_image_nor_others(is_read_first: bool) -> None:
    with (
        Image(SMALL) as image,
        image.map(BASE, 64) as mapping,
        image.map(BASE, 64, at=BASE + 4096) as other,
    ):
        before = other.values()
        if is_read_first:
            assert mapping.values() == before
        mapping.words()[10, 7] = 5
        assert mapping.words()[10, 6:9].tolist() == [value_of(BASE + 10), 5, value_of(BASE + 10)]
        mapping.words()[12] = 6
        assert mapping.values() == [*before[:10], -1, before[11], 6, *before[13:]]
        assert other.values() == before
        assert set(pool_pages()[512 + 7]) == {value_of(BASE + 10)}
        assert image.count("copied_pages") == 2


def test_addresses_without_a_page_are_zeros_and_can_be_written() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.words()[45] = 9
        assert mapping.words()[46, 0] == 0
        mapping.words()[46] = 8
        assert mapping.values()[42:50] == [value_of(BASE + 42), 0, 0, 9, 8, 0, 0, 0]


@pytest.mark.parametrize("touch", ["untouched", "read", "written"])
@pytest.mark.parametrize(
    ("page", "pages"), [(0, 64), (5, 1), (5, 20), (40, 15)], ids=["all", "one", "some", "a hole"]
)
def test_what_is_given_back_reads_as_zeros(touch: str, page: int, pages: int) -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        whole = [0] * 3 + stored(BASE + 3, 40) + [0] * 7 + stored(BASE + 50, 10) + [0] * 4
        if touch == "read":
            assert mapping.values() == whole
        if touch == "written":
            mapping.words()[:] = 77
            whole = [77] * 64
        mapping.advise(mmap.MADV_DONTNEED, page, pages)
        whole[page : page + pages] = [0] * pages
        assert mapping.values() == whole
        mapping.words()[page] = 3
        whole[page] = 3
        assert mapping.values() == whole


def test_what_one_mapping_gave_back_another_keeps() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.advise(mmap.MADV_DONTNEED)
        assert set(mapping.values()) == {0}
        with image.map(BASE, 64, at=BASE + 4096) as other:
            assert other.values()[3:43] == stored(BASE + 3, 40)
        assert image.count("discarded_pages") == 50


def test_protection_changes_and_changes_back() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.words()[20] = 1
        mapping.protect(mmap.PROT_READ, 10, 20)
        assert mapping.values()[19:22] == [value_of(BASE + 19), 1, value_of(BASE + 21)]
        mapping.protect(0)
        mapping.protect(READ_WRITE)
        mapping.words()[21] = 2
        assert mapping.values()[19:23] == [value_of(BASE + 19), 1, 2, value_of(BASE + 22)]


def test_it_may_become_code() -> None:
    answer_seven = bytes.fromhex("b807000000c3")
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        ctypes.memmove(mapping.address + 5 * PAGE, answer_seven, len(answer_seven))
        mapping.protect(mmap.PROT_READ | mmap.PROT_EXEC)
        assert ctypes.CFUNCTYPE(ctypes.c_int)(mapping.address + 5 * PAGE)() == 7
        assert mapping.values()[6] == value_of(BASE + 6)


def test_a_mapping_that_moves_takes_its_pages_along() -> None:
    with Image(SMALL) as image:
        mapping = image.map(BASE, 64)
        mapping.words()[20] = 1
        mapping.advise(mmap.MADV_DONTNEED, 30, 2)
        with mapping.resize(64, to=BASE + 8192) as moved:
            moved.advise(mmap.MADV_DONTNEED, 33, 1)
            wanted = stored(BASE + 3, 40)
            wanted[17], wanted[27], wanted[28], wanted[30] = 1, 0, 0, 0
            assert moved.values()[3:43] == wanted


def test_a_mapping_that_grows_has_zeros_there_and_not_its_neighbours() -> None:
    with Image(SMALL) as image:
        grown = image.map(BASE, 20).resize(64, to=BASE + 8192)
        with grown:
            assert grown.values() == [0] * 3 + stored(BASE + 3, 17) + [0] * 44
            grown.words()[30] = 4
            assert grown.values()[29:32] == [0, 4, 0]


@pytest.mark.parametrize("is_touched", [False, True], ids=["untouched", "touched"])
def test_a_part_that_grows_has_zeros_there_and_not_what_the_image_has_behind_it(
    is_touched: bool,
) -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        if is_touched:
            mapping.values()
        mapping.words()[10] = 5
        mapping.advise(mmap.MADV_DONTNEED, 12, 1)
        wanted = [0] * 3 + stored(BASE + 3, 17) + [0] * 44
        wanted[10], wanted[12] = 5, 0
        with Mapping((mapping.address, 20 * PAGE)).resize(64, to=BASE + 8192) as grown:
            assert grown.values() == wanted
            rest = Mapping((mapping.address + 20 * PAGE, 44 * PAGE))
            assert rest.values()[:23] == stored(BASE + 20, 23)
            # What the part gives back and is given does not reach the rest, nor its own growth.
            grown.advise(mmap.MADV_DONTNEED)
            assert set(grown.values()) == {0}
            assert rest.values()[30:40] == stored(BASE + 50, 10)


@pytest.mark.parametrize("is_touched", [False, True], ids=["untouched", "touched"])
def test_a_mapping_that_moves_and_is_left_has_zeros_where_it_was(is_touched: bool) -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        if is_touched:
            mapping.values()
        mapping.words()[20] = 1
        part = Mapping((mapping.address + 10 * PAGE, 20 * PAGE))
        with part.resize(20, to=BASE + 8192, is_left=True) as moved:
            wanted = stored(BASE + 10, 20)
            wanted[10] = 1
            assert moved.values() == wanted
            assert set(part.values()) == {0}
            part.words()[0] = 9
            assert moved.values() == wanted
        around = [0] * 3 + stored(BASE + 3, 7) + [9] + [0] * 19 + stored(BASE + 30, 13)
        assert mapping.values()[:43] == around


def test_a_mapping_grows_by_moving_only() -> None:
    """The kernel joins no special mappings; malloc copies then."""
    with Image(SMALL) as image, image.map(BASE, 20) as mapping:
        with pytest.raises(OSError, match="mremap") as seen:
            mapping.resize(64)
        assert seen.value.errno == errno.ENOMEM


def test_a_mapping_that_shrinks_and_is_cut_keeps_the_rest() -> None:
    with Image(SMALL) as image:
        mapping = image.map(BASE, 64).resize(60)
        mapping.unmap(10, 5)
        begin = Mapping((mapping.address, 10 * PAGE))
        end = Mapping((mapping.address + 15 * PAGE, 45 * PAGE))
        assert begin.values() == [0] * 3 + stored(BASE + 3, 7)
        assert end.values() == stored(BASE + 15, 28) + [0] * 7 + stored(BASE + 50, 10)
        mapping.unmap()


@pytest.mark.parametrize("is_touched", [False, True], ids=["untouched", "touched"])
def test_a_child_has_memory_of_its_own(is_touched: bool) -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        if is_touched:
            mapping.values()
        mapping.words()[20] = 1
        mapping.advise(mmap.MADV_DONTNEED, 30, 2)
        wanted = stored(BASE + 3, 40)
        wanted[17], wanted[27], wanted[28] = 1, 0, 0

        def child() -> None:
            assert mapping.values()[3:43] == wanted
            mapping.words()[22] = 7
            mapping.advise(mmap.MADV_DONTNEED, 35, 2)
            changed = list(wanted)
            changed[19], changed[32], changed[33] = 7, 0, 0
            assert mapping.values()[3:43] == changed

        in_child(child)
        assert mapping.values()[3:43] == wanted


def test_a_process_forks_while_signals_come() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.advise(mmap.MADV_DONTNEED, 3, 1)
        before = signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            for _ in range(50):
                in_child(lambda: check(mapping.values()[3:6] == [0, *stored(BASE + 4, 2)]))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def test_a_childs_child_has_it_too() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:

        def child() -> None:
            mapping.advise(mmap.MADV_DONTNEED, 3, 1)
            in_child(lambda: check(mapping.values()[3:6] == [0, *stored(BASE + 4, 2)]))

        in_child(child)
        assert mapping.values()[3:43] == stored(BASE + 3, 40)


def test_others_read_it_by_proc_mem_and_by_process_vm_readv() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.words()[10, 0]  # maps some pages; others stay untouched
        whole = bytes(60 * PAGE)
        with Path("/proc/self/mem").open("rb") as memory:
            memory.seek(mapping.address)
            whole = memory.read(60 * PAGE)
        buffer = ctypes.create_string_buffer(60 * PAGE)
        here, there = IoVec(ctypes.addressof(buffer), 60 * PAGE), IoVec(mapping.address, 60 * PAGE)
        got = libc.process_vm_readv(os.getpid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        assert got == 60 * PAGE
        assert buffer.raw == whole == mapping.words()[:60].tobytes()


@pytest.mark.parametrize("is_touched", [False, True], ids=["untouched", "touched"])
def test_others_write_to_a_copy(is_touched: bool) -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        if is_touched:
            mapping.values()
        parent = os.getpid()

        def child() -> None:
            with Path(f"/proc/{parent}/mem").open("r+b", buffering=0) as memory:
                memory.seek(mapping.address + 10 * PAGE)
                assert memory.write(b"\1" * 8) == 8

        in_child(child)
        assert mapping.words()[10, :2].tolist() == [0x0101010101010101, value_of(BASE + 10)]
        assert set(pool_pages()[512 + 7]) == {value_of(BASE + 10)}


def test_devices_can_be_given_it() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.values()
        with pinned_by_io_uring(mapping.address, 64 * PAGE):
            mapping.words()[10] = 4
        assert mapping.values()[9:12] == [value_of(BASE + 9), 4, value_of(BASE + 11)]


def test_copying_ahead() -> None:
    with Image(SMALL) as image, image.map(BASE, 64) as mapping:
        mapping.words()[10, 0]
        mapping.advise(MADV_POPULATE_WRITE, 3, 40)
        assert mapping.values()[3:43] == stored(BASE + 3, 40)
        assert image.count("copied_pages") == 40


@pytest.mark.parametrize("protection", [READ_WRITE, mmap.PROT_READ], ids=["rw", "r"])
def test_copy_on_read_copies_at_the_first_touch(protection: int) -> None:
    with (
        Image(SMALL, flags=1) as image,
        image.map(BASE, 64, protection=protection) as mapping,
    ):
        wanted = [0] * 3 + stored(BASE + 3, 40) + [0] * 7 + stored(BASE + 50, 10) + [0] * 4
        assert mapping.words()[20, 0] == value_of(BASE + 20)
        assert image.count("copied_pages") == 1
        assert mapping.values() == wanted
        assert image.count("copied_pages") == 50
        assert image.count("mapped_pages") == 0
        mapping.advise(mmap.MADV_DONTNEED, 20, 2)
        wanted[20:22] = [0, 0]
        assert mapping.values() == wanted


def test_a_private_mapping_that_is_read_only_may_become_writable() -> None:
    with Image(SMALL) as image, image.map(BASE, 64, protection=mmap.PROT_READ) as mapping:
        mapping.values()
        mapping.protect(READ_WRITE)
        mapping.words()[20] = 3
        assert mapping.values()[19:22] == [value_of(BASE + 19), 3, value_of(BASE + 21)]
