"""What TIERMEM_IMAGE_PAGES says of processes."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable

import numpy as np
import pytest
from images import BASE, DEVICE, LARGE_PAGES, PAGE, Image, Mapping, Run, map_memory, request
from tiermem.native._uapi import ffi, lib

ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
RUNS = [Run(BASE + 3, 40, 512), Run(BASE + 50, 10, 600)]


def ask(address: int, pages: int, pid: int | None = None) -> tuple[list[int], ...]:
    """The numbers of the pages that are held, accessed and dirty."""
    bits = np.full((3, pages // 64 + 1), 0xFF, np.uint64)
    argument = {
        "start": address,
        "pages": pages,
        "held_ptr": int(bits[0].ctypes.data),
        "accessed_ptr": int(bits[1].ctypes.data),
        "dirty_ptr": int(bits[2].ctypes.data),
        "pid": os.getpid() if pid is None else pid,
    }
    with DEVICE.open("rb") as device:
        asked = ffi.new("struct tiermem_image_pages *", argument)
        request(device.fileno(), lib.TIERMEM_IMAGE_PAGES, asked)
    flat = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :pages]
    return tuple(np.flatnonzero(row).tolist() for row in flat)


def anonymous(pages: int) -> Mapping:
    return Mapping(
        map_memory(BASE * PAGE, pages, mmap.PROT_READ | mmap.PROT_WRITE, ANONYMOUS, (-1, 0))
    )


def test_memory_that_was_never_written_is_not_held() -> None:
    with anonymous(70000) as mapping:
        mapping.advise(mmap.MADV_NOHUGEPAGE)
        assert mapping.words()[5, 0] == 0
        for page in (7, 64, 69999):
            mapping.words()[page] = 1
        held, accessed, dirty = ask(mapping.address, 70000)
        assert held == accessed == dirty == [7, 64, 69999]


def test_large_pages_are_held_whole() -> None:
    with anonymous(3 * LARGE_PAGES) as mapping:
        mapping.advise(mmap.MADV_HUGEPAGE)
        mapping.words()[LARGE_PAGES + 5] = 1
        held, accessed, dirty = ask(mapping.address + 10 * PAGE, 2 * LARGE_PAGES)
        whole = list(range(LARGE_PAGES - 10, 2 * LARGE_PAGES - 10))
        assert held == accessed == dirty == whole


def in_image(pages: list[range]) -> list[int]:
    return [page for part in pages for page in part]


@pytest.mark.parametrize(
    ("change", "gone", "written"),
    [
        (lambda mapping: None, [], []),
        (lambda mapping: mapping.values(), [], []),
        (lambda mapping: mapping.words()[5].fill(3), [], [5]),
        (lambda mapping: mapping.advise(mmap.MADV_DONTNEED, 5, 3), [5, 6, 7], []),
        (lambda mapping: mapping.words()[45].fill(3), [], [45]),
    ],
    ids=["untouched", "read", "written", "given back", "written where it has none"],
)
def test_pages_of_an_image_are_held(
    change: Callable[[Mapping], None], gone: list[int], written: list[int]
) -> None:
    with Image(RUNS) as image, image.map(BASE, 64) as mapping:
        change(mapping)
        held, _, dirty = ask(mapping.address, 64)
        own = set(in_image([range(3, 43), range(50, 60)])) - set(gone) | set(written)
        assert held == sorted(own)
        assert dirty == written


def test_large_mappings_of_an_image_are_held_and_clean() -> None:
    with Image([Run(BASE, LARGE_PAGES, 512)]) as image, image.map(BASE, LARGE_PAGES) as mapping:
        mapping.values()
        assert image.count("mapped_large") == 1
        held, _, dirty = ask(mapping.address, LARGE_PAGES)
        assert held == list(range(LARGE_PAGES))
        assert dirty == []


def test_another_process_is_asked_about_by_its_number() -> None:
    ready, go = os.pipe(), os.pipe()
    with anonymous(64) as mapping:
        mapping.words()[1] = 1
        pid = os.fork()
        if pid == 0:
            mapping.words()[9] = 1
            os.write(ready[1], b".")
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        assert ask(mapping.address, 64, pid)[0] == [1, 9]
        assert ask(mapping.address, 64)[0] == [1]
        os.write(go[1], b".")
        os.waitpid(pid, 0)
    for descriptor in (*ready, *go):
        os.close(descriptor)


def test_a_part_that_is_not_wanted_is_not_written() -> None:
    with anonymous(64) as mapping, DEVICE.open("rb") as device:
        mapping.words()[1] = 1
        bits = np.full(2, 0xFF, np.uint64)
        argument = {"start": mapping.address, "pages": 64, "pid": os.getpid()}
        argument["dirty_ptr"] = int(bits.ctypes.data)
        asked = ffi.new("struct tiermem_image_pages *", argument)
        request(device.fileno(), lib.TIERMEM_IMAGE_PAGES, asked)
        assert bits.tolist() == [2, 0xFF]
