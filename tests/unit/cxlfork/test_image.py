"""An image gives back what was written, and a damaged one is refused whatever is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.cxlfork.checksum import crc32c
from tiermem.cxlfork.image import Image
from tiermem.cxlfork.image_check import PARTS
from tiermem.errors import DamagedError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.native._fork import ffi

from tests.unit.cxlfork.made_snapshots import made_image, snapshot

MADE = bytes(made_image())
DATA_AT: int = ffi.from_buffer("struct image_header *", MADE).data_at
HUGE = (1 << 64) - 1


def image_of(data: bytes | bytearray) -> Image:
    return Image(memoryview(data), "made")


def changed(change: Callable[[Any, bytearray], None]) -> bytearray:
    """With one thing wrong in it, and a checksum that fits."""
    data = bytearray(MADE)
    header = ffi.from_buffer("struct image_header *", data)
    change(header, data)
    header.checksum = 0
    header.checksum = crc32c(data[:DATA_AT])
    return data


def element(header: Any, data: bytearray, part: str, place: int = 0) -> Any:
    """One of a part's structures, to be changed."""
    at = getattr(header, part).at + place * ffi.sizeof(PARTS[part])
    return ffi.from_buffer(f"{PARTS[part]} *", memoryview(data)[at:])


def test_what_was_written_is_read() -> None:
    made = snapshot()
    image = image_of(MADE)
    assert image.process == made.process
    assert image.threads == made.threads
    assert image.descriptors == made.descriptors
    assert image.timers == made.timers
    assert image.host == made.host
    runs = [(vma.first_run, vma.runs) for vma in image.vmas]
    assert runs == [(0, 1), (1, 3), (4, 1), (5, 0)]
    assert [dataclasses.replace(v, first_run=0, runs=0) for v in image.vmas] == made.vmas


def test_a_page_is_found_by_its_address() -> None:
    image = image_of(MADE)
    for first, pages, data in image.runs.tolist():
        for offset in (0, pages - 1):
            page = image.page((first + offset) * PAGE_BYTES)
            assert page is not None
            assert int.from_bytes(page[:8], "little") == data + offset
    assert image.page(19 * PAGE_BYTES) is None
    assert image.page(0) is None


def test_accessed_and_dirty_pages() -> None:
    image = image_of(MADE)
    places = {
        first + i: data + i - DATA_AT // PAGE_BYTES
        for first, pages, data in image.runs.tolist()
        for i in range(pages)
    }
    assert set(np.flatnonzero(image.bits("accessed"))) == {places[20], places[1030]}
    assert set(np.flatnonzero(image.bits("dirty"))) == {places[1030]}


@given(st.integers(0, DATA_AT - 1), st.integers(1, 255))
def test_a_changed_byte_before_the_data_is_refused(at: int, change: int) -> None:
    data = bytearray(MADE)
    data[at] ^= change
    with pytest.raises(DamagedError, match="image 'made' is damaged"):
        image_of(data)


@given(st.integers(0, len(MADE) - 1))
def test_an_image_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(DamagedError):
        image_of(MADE[:size])


def set_header(name: str, value: int) -> Callable[[Any, bytearray], None]:
    return lambda header, _data: setattr(header, name, value)


def set_part(part: str, name: str, value: int) -> Callable[[Any, bytearray], None]:
    return lambda header, _data: setattr(getattr(header, part), name, value)


def set_in(part: str, name: str, value: int, place: int = 0) -> Callable[[Any, bytearray], None]:
    return lambda header, data: setattr(element(header, data, part, place), name, value)


WRONG: dict[str, Callable[[Any, bytearray], None]] = {
    "the beginning": set_header("magic", 1),
    "a version of later": set_header("version", 2),
    "its size": set_header("bytes", len(MADE) - PAGE_BYTES),
    "where its data begins": set_header("data_at", DATA_AT + 1),
    "its data beyond the end": set_header("data_at", HUGE - HUGE % PAGE_BYTES),
    "how many pages it has": set_header("data_pages", 1),
    "the kernel's name": set_header("kernel", HUGE & 0xFFFFFFFF),
    "the processor's name": set_header("cpu_flags", 1 << 20),
    "bits that it does not have": set_header("has_accessed", 0),
    "the size of FPU state": set_header("xstate_bytes", 1 << 20),
    "no FPU state": set_header("xstate_bytes", 0),
    "a gap in use": set_header("gap_at", 512 * PAGE_BYTES),
    "no gap": set_header("gap_at", 0),
    "a gap beyond user space": set_header("gap_at", HUGE & ~0xFFF),
    "the highest descriptor": set_header("max_fd", 3),
    "waiting signals": set_header("pending", 100),
    "its executable": lambda header, _: setattr(header.process, "executable", 99),
    "its folder": lambda header, _: setattr(header.process, "cwd", 1 << 30),
    "its pid": lambda header, _: setattr(header.process, "pid", 1),
    "a string that does not end": lambda header, data: data.__setitem__(
        header.strings.at + header.strings.count - 1, 65
    ),
    "no strings": set_part("strings", "count", 0),
    "no threads": set_part("threads", "count", 0),
    "fewer runs": set_part("runs", "count", 2),
    "more bits": set_part("accessed", "count", 1),
    "fewer bits": set_part("dirty", "count", 0),
    "no paths": set_part("paths", "count", 0),
    "no mappings": set_part("vmas", "count", 0),
    "a thread's tid": set_in("threads", "tid", 42, 1),
    "a thread's signals": set_in("threads", "pending", 9),
    "a thread's first signal": set_in("threads", "first_pending", HUGE),
    "where FPU state is": set_in("threads", "xstate_at", 65),
    "FPU state in the data": set_in("threads", "xstate_at", DATA_AT),
    "a run without pages": set_in("runs", "pages", 0),
    "a run of too many pages": set_in("runs", "pages", HUGE),
    "a run that is not where it was": set_in("runs", "first_page", HUGE),
    "a run of another mapping": set_in("runs", "first_page", 15),
    "two runs at once": set_in("runs", "first_page", 20, 1),
    "two runs of the same data": set_in("runs", "data_page", DATA_AT // PAGE_BYTES, 1),
    "data before the data": set_in("runs", "data_page", 0),
    "data beyond the end": set_in("runs", "data_page", HUGE),
    "a mapping's begin": set_in("vmas", "start", 1),
    "a mapping's end": set_in("vmas", "end", HUGE & ~0xFFF),
    "an empty mapping": set_in("vmas", "end", 16 * PAGE_BYTES),
    "two mappings at once": set_in("vmas", "end", 600 * PAGE_BYTES),
    "a mapping's kind": set_in("vmas", "kind", 77),
    "a mapping's file": set_in("vmas", "path", 77),
    "a mapping's runs": set_in("vmas", "runs", 2),
    "a mapping's first run": set_in("vmas", "first_run", 1),
    "a path's name": set_in("paths", "name", 1 << 20),
    "a descriptor's number": set_in("fds", "number", -1),
    "two descriptors of one number": set_in("fds", "number", 1),
    "a descriptor's kind": set_in("fds", "kind", 77),
    "a descriptor's file": set_in("fds", "path", 77, 1),
    "a descriptor that is the same as itself": set_in("fds", "same_as", 2, 2),
    "a descriptor that is the same as none": set_in("fds", "same_as", -2, 2),
    "what a pipe holds": lambda h, d: setattr(element(h, d, "fds", 4).extra, "at", DATA_AT),
    "how much a pipe holds": lambda h, d: setattr(element(h, d, "fds", 4).extra, "count", HUGE),
    "a timer's setting": lambda h, d: setattr(element(h, d, "fds", 6).extra, "count", 8),
    "an address's length": lambda h, d: setattr(element(h, d, "fds", 7).extra, "count", 25),
    "what is watched": lambda h, d: setattr(element(h, d, "fds", 9).extra, "count", 15),
} | {
    f"part {part} {what}": set_part(part, name, value)
    for part in PARTS
    for what, name, value in (
        ("beyond the end", "at", DATA_AT),
        ("over the header", "at", 8),
        ("at an odd place", "at", PAGE_BYTES + 1),
        ("too long", "count", HUGE),
    )
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_is_wrong_is_refused(what: str) -> None:
    with pytest.raises(DamagedError, match="image 'made' is damaged"):
        image_of(changed(WRONG[what]))


def test_an_image_that_was_changed_to_what_it_was_is_whole() -> None:
    assert image_of(changed(set_header("version", 1))).name == "made"
