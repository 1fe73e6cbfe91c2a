"""The front of an image: header, parts and strings as bytes, from what was taken.

Everything before the data is put together here, in memory; the pages follow it in the
order of `layout`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork import image_records as encode
from tiermem.cxlfork.checksum import crc32c
from tiermem.cxlfork.layout import FIRST_PAGE, Layout, cut, lay_out
from tiermem.cxlfork.records import Descriptor, HostFacts, PosixTimer, Process, Thread, Vma
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.native._fork import ffi, lib

I64 = npt.NDArray[np.int64]

_WORD_BITS = 64
_XSTATE_ALIGN = 64


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known of a stopped process but the contents of its pages.

    stretches: the pages that are stored (first page, pages). accessed, dirty: numbers of
    pages whose bits were set; None where they were not to be had.
    """

    host: HostFacts
    process: Process
    threads: list[Thread]
    vmas: list[Vma]
    descriptors: list[Descriptor]
    timers: Sequence[PosixTimer]
    gap_at: int
    stretches: I64
    accessed: I64 | None = None
    dirty: I64 | None = None


@dataclass(frozen=True, slots=True)
class Front:
    """What comes before the data, and where the data lies."""

    data: bytes
    layout: Layout

    @property
    def image_bytes(self) -> int:
        """Of the whole image."""
        return self.layout.end_page * PAGE_BYTES


class _Room:
    """Bytes behind the header's page, one after the other."""

    def __init__(self) -> None:
        self._bytes = bytearray(PAGE_BYTES)

    @property
    def end(self) -> int:
        return len(self._bytes)

    def put(self, data: Any, align: int = 8) -> int:
        """Where they are, from the image's begin."""
        self._bytes += bytes(-len(self._bytes) % align)
        at = len(self._bytes)
        self._bytes += data
        return at

    def put_at(self, at: int, data: bytes) -> None:
        """In place of as many that are there already."""
        self._bytes[at : at + len(data)] = data

    def finished(self, header: Any) -> bytes:
        """With the header in front, summed up."""
        self._bytes += bytes(-len(self._bytes) % PAGE_BYTES)
        self.put_at(0, bytes(ffi.buffer(header)))
        header.checksum = crc32c(self._bytes)
        self.put_at(0, bytes(ffi.buffer(header)))
        return bytes(self._bytes)


def build_front(snapshot: Snapshot) -> Front:
    """Put it together."""
    header = ffi.new("struct image_header *")
    room = _Room()
    pieces, is_whole = cut(snapshot.stretches)
    vmas = _with_runs(snapshot.vmas, pieces)
    _put_parts(header, room, snapshot, vmas)
    # Sizes of what depends on where the data begins are known before that is.
    runs_at = room.put(bytes(len(pieces) * ffi.sizeof("struct image_run")))
    bits_max = int(pieces[:, 1].sum()) + lib.IMAGE_LARGE_PAGES
    words_max = -(-bits_max // _WORD_BITS) if snapshot.accessed is not None else 0
    bits_at = [room.put(bytes(words_max * 8)) for _ in range(2)]
    layout = lay_out(pieces, is_whole, -(-room.end // PAGE_BYTES))
    _put_layout(header, room, snapshot, layout, runs_at=runs_at, bits_at=bits_at)
    return Front(room.finished(header), layout)


def _with_runs(vmas: list[Vma], pieces: I64) -> list[Vma]:
    first_pages = pieces[:, FIRST_PAGE]
    bounds = np.array([(v.start // PAGE_BYTES, v.end // PAGE_BYTES) for v in vmas])
    begins, ends = (np.searchsorted(first_pages, bounds[:, side]) for side in range(2))
    return [
        replace(vma, first_run=int(begin), runs=int(end - begin))
        for vma, begin, end in zip(vmas, begins, ends, strict=True)
    ]


def _put_parts(header: Any, room: _Room, snapshot: Snapshot, vmas: list[Vma]) -> None:
    names = encode.Names()
    encode.fill_header(header, snapshot.host, names)
    encode.fill_process(header.process, snapshot.process, names)
    header.gap_at = snapshot.gap_at
    header.max_fd = max((d.number for d in snapshot.descriptors), default=0)
    waiting = list(snapshot.process.pending)
    threads = ffi.new("struct image_thread[]", len(snapshot.threads))
    for into, thread in zip(threads, snapshot.threads, strict=True):
        encode.fill_thread(into, thread, room.put(thread.xstate, _XSTATE_ALIGN), len(waiting))
        header.xstate_bytes = len(thread.xstate)
        waiting += thread.pending
    header.pending = len(snapshot.process.pending)
    fds = ffi.new("struct image_fd[]", len(snapshot.descriptors))
    place_of = {d.number: place for place, d in enumerate(snapshot.descriptors)}
    for into, fd in zip(fds, snapshot.descriptors, strict=True):
        encode.fill_fd(into, fd, names, place_of, room.put(fd.extra) if fd.extra else 0)
    mapped = ffi.new("struct image_vma[]", len(vmas))
    for into, vma in zip(mapped, vmas, strict=True):
        encode.fill_vma(into, vma, names)
    timers = ffi.new("struct image_posix_timer[]", len(snapshot.timers))
    for into, timer in zip(timers, snapshot.timers, strict=True):
        encode.fill_timer(into, timer)
    groups = ffi.new("uint32_t[]", snapshot.process.groups)
    for part, array in (
        (header.threads, threads),
        (header.fds, fds),
        (header.vmas, mapped),
        (header.timers, timers),
        (header.groups, groups),
        (header.paths, names.paths()),
    ):
        part.at, part.count = room.put(bytes(ffi.buffer(array))), len(array)
    header.pending_part.at, header.pending_part.count = room.put(b"".join(waiting)), len(waiting)
    for part, data in ((header.auxv, snapshot.process.auxv), (header.strings, names.strings())):
        part.at, part.count = room.put(data), len(data)


def _put_layout(
    header: Any,
    room: _Room,
    snapshot: Snapshot,
    layout: Layout,
    *,
    runs_at: int,
    bits_at: list[int],
) -> None:
    room.put_at(runs_at, layout.runs.astype("<u8").tobytes())
    header.runs.at, header.runs.count = runs_at, len(layout.runs)
    header.data_at = layout.data_at_page * PAGE_BYTES
    header.data_pages = layout.data_pages
    header.bytes = layout.end_page * PAGE_BYTES
    header.has_accessed = snapshot.accessed is not None
    for part, at, numbers in zip(
        (header.accessed, header.dirty), bits_at, (snapshot.accessed, snapshot.dirty), strict=True
    ):
        part.at = at
        if numbers is not None:
            words = bits_of(layout, numbers)
            room.put_at(at, words)
            part.count = len(words) // 8


def bits_of(layout: Layout, numbers: I64) -> bytes:
    """A bit for each page of data, set where it is of one of these pages of the process."""
    bits = np.zeros(-(-layout.data_pages // _WORD_BITS) * _WORD_BITS, dtype=np.uint8)
    if len(layout.runs):
        first, pages, data = layout.runs.T
        run = np.clip(np.searchsorted(first, numbers, side="right") - 1, 0, None)
        offset = numbers - first[run]
        is_stored = (offset >= 0) & (offset < pages[run])
        bits[(data[run] + offset - layout.data_at_page)[is_stored]] = 1
    return np.packbits(bits, bitorder="little").tobytes()
