"""What large mappings of an image are to their process: the same, and fewer faults."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import pytest
from held_pages import IoVec
from images import (
    BASE,
    LARGE_PAGES,
    PAGE,
    Image,
    Mapping,
    Run,
    check,
    in_child,
    libc,
    stored,
    value_of,
)

MADV_DONTFORK = 10
THP_ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")
LARGE = [Run(BASE, 4 * LARGE_PAGES, 512)]
"""Four windows of 2 MiB that can be mapped at once."""


def test_whole_windows_are_mapped_at_once() -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        assert mapping.values() == stored(BASE, 4 * LARGE_PAGES)
        assert image.count("mapped_large") == 4
        assert image.count("mapped_pages") == 0
        assert image.count("faults") == 4


@pytest.mark.parametrize(("setting", "large"), [("always", 4), ("madvise", 4), ("never", 0)])
def test_large_mappings_are_the_administrators_to_forbid(setting: str, large: int) -> None:
    before = THP_ENABLED.read_text().partition("[")[2].partition("]")[0]
    THP_ENABLED.write_text(setting)
    try:
        with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
            assert mapping.values() == stored(BASE, 4 * LARGE_PAGES)
            assert image.count("mapped_large") == large
    finally:
        THP_ENABLED.write_text(before)


@pytest.mark.parametrize(
    ("runs", "first", "pages"),
    [
        ([Run(BASE, LARGE_PAGES, 513)], BASE, LARGE_PAGES),
        ([Run(BASE + 1, LARGE_PAGES, 513)], BASE, 2 * LARGE_PAGES),
        ([Run(BASE, LARGE_PAGES, 512)], BASE, LARGE_PAGES - 1),
        ([Run(BASE, LARGE_PAGES, 512)], BASE + 1, LARGE_PAGES - 1),
        ([Run(BASE, 256, 512), Run(BASE + 256, 256, 768)], BASE, LARGE_PAGES),
    ],
    ids=["not congruent", "not whole", "mapping ends", "mapping begins", "two runs"],
)
def test_other_windows_are_mapped_page_by_page(runs: list[Run], first: int, pages: int) -> None:
    with Image(runs) as image, image.map(first, pages) as mapping:
        wanted = {
            number: value_of(number)
            for run in runs
            for number in range(run.first_page, run.first_page + run.pages)
        }
        assert mapping.values() == [wanted.get(number, 0) for number in range(first, first + pages)]
        assert image.count("mapped_large") == 0


def test_a_write_into_a_large_mapping_copies_one_page_and_loses_none() -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        mapping.words()[LARGE_PAGES + 100] = 5
        wanted[LARGE_PAGES + 100] = 5
        assert mapping.values() == wanted
        assert image.count("copied_pages") == 1
        assert image.count("discarded_pages") == 0


@pytest.mark.parametrize(
    ("page", "pages"),
    [
        (LARGE_PAGES, LARGE_PAGES),
        (LARGE_PAGES, 1),
        (LARGE_PAGES + 511, 1),
        (LARGE_PAGES + 100, 200),
        (LARGE_PAGES - 1, LARGE_PAGES + 2),
        (0, 4 * LARGE_PAGES),
    ],
    ids=["a window", "its first", "its last", "its middle", "more", "all"],
)
@pytest.mark.parametrize("is_written", [False, True], ids=["read", "written"])
def test_giving_back_of_large_mappings(page: int, pages: int, is_written: bool) -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        if is_written:
            mapping.words()[LARGE_PAGES + 50] = wanted[LARGE_PAGES + 50] = 6
        mapping.advise(mmap.MADV_DONTNEED, page, pages)
        wanted[page : page + pages] = [0] * pages
        assert mapping.values() == wanted


def test_giving_back_a_window_by_process_madvise() -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        vector = IoVec(mapping.address + LARGE_PAGES * PAGE, LARGE_PAGES * PAGE)
        pidfd = os.pidfd_open(os.getpid())
        size = LARGE_PAGES * PAGE
        got = libc.syscall(440, pidfd, ctypes.byref(vector), 1, mmap.MADV_DONTNEED, 0)
        os.close(pidfd)
        if got != size:
            pytest.skip("this kernel gives nothing back by process_madvise")
        wanted[LARGE_PAGES : 2 * LARGE_PAGES] = [0] * LARGE_PAGES
        assert mapping.values() == wanted


def test_what_divides_a_large_mapping_loses_nothing() -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        mapping.protect(mmap.PROT_READ, 100, 10)
        mapping.advise(MADV_DONTFORK, LARGE_PAGES + 100, 10)
        mapping.advise(mmap.MADV_NOHUGEPAGE, 2 * LARGE_PAGES + 100, 10)
        assert mapping.values() == wanted
        mapping.unmap(3 * LARGE_PAGES + 100, 10)
        rest = Mapping((mapping.address, (3 * LARGE_PAGES + 100) * PAGE))
        assert rest.values() == wanted[: 3 * LARGE_PAGES + 100]
        assert image.count("discarded_pages") == 0


def test_a_large_mapping_moves_and_is_forked() -> None:
    with Image(LARGE) as image:
        mapping = image.map(BASE, 4 * LARGE_PAGES)
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        for to in (BASE + (1 << 18), BASE + (1 << 19) + 1):
            mapping = mapping.resize(4 * LARGE_PAGES, to=to)
            in_child(lambda moved=mapping: check(moved.values() == wanted))
            mapping.words()[7] = wanted[7] = to
            in_child(lambda moved=mapping: check(moved.values() == wanted))
        mapping.unmap()


def test_others_read_and_write_large_mappings() -> None:
    with Image(LARGE) as image, image.map(BASE, 4 * LARGE_PAGES) as mapping:
        wanted = stored(BASE, 4 * LARGE_PAGES)
        assert mapping.values() == wanted
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(mapping.address)
            assert memory.read(LARGE_PAGES * PAGE) == mapping.words()[:LARGE_PAGES].tobytes()
            memory.seek(mapping.address + 10 * PAGE)
            memory.write((5).to_bytes(8, "little") * (PAGE // 8))
        wanted[10] = 5
        assert mapping.values() == wanted
