"""Whether the front of an image is whole: its checksum, and every offset, count and index.

It comes from another host, and what reads it follows its offsets; DamagedError names the
image, the part and what is wrong. The bytes of pages are the pool's checksum's affair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork.checksum import crc32c
from tiermem.cxlfork.records import FdKind, VmaKind
from tiermem.errors import DamagedError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pages.mappings import USER_SPACE_END
from tiermem.native._fork import ffi, lib
from tiermem.native.struct_dtype import struct_dtype

Table = npt.NDArray[Any]

PARTS = {
    "threads": "struct image_thread",
    "vmas": "struct image_vma",
    "runs": "struct image_run",
    "paths": "struct image_path",
    "fds": "struct image_fd",
    "timers": "struct image_posix_timer",
    "pending_part": f"uint8_t[{lib.TRACE_SIGINFO_BYTES}]",
    "groups": "uint32_t",
    "auxv": "uint8_t",
    "strings": "uint8_t",
    "accessed": "uint64_t",
    "dirty": "uint64_t",
}
"""The header's parts and what they are arrays of."""

_XSTATE_ALIGN = 64
_HEADER_BYTES = ffi.sizeof("struct image_header")
_CHECKSUM_AT = ffi.offsetof("struct image_header", "checksum")
_CHECKSUM_BYTES = 4
_GAP_BYTES = 2 << 20
_USER_PAGES = USER_SPACE_END // PAGE_BYTES
_WITH_PATH = {FdKind.PATH, FdKind.MEMORY}
_EXTRA_UNIT = {
    FdKind.EPOLL: ffi.sizeof("struct image_epoll_item"),
    FdKind.TIMER: ffi.sizeof("struct image_timerfd"),
}


class FrontCheck:
    """One image's. After `check`, its parts may be read with `table`."""

    def __init__(self, data: memoryview, name: str) -> None:
        self.data, self.name = data, name
        self.header: Any = None

    def check(self) -> Any:
        """The header; DamagedError."""
        self._check_header()
        for part in PARTS:
            self._check_part(part)
        self._check_strings()
        self._check_memory()
        self._check_threads()
        self._check_fds()
        self._check_bits()
        return self.header

    def table(self, part: str, structure: str) -> Table:
        """A part of structures as an array."""
        where = getattr(self.header, part)
        dtype = struct_dtype(ffi, structure)
        return np.frombuffer(self.data, dtype=dtype, count=where.count, offset=where.at)

    def _fail(self, what: str) -> DamagedError:
        return DamagedError(f"image {self.name!r} is damaged: {what}")

    def _require(self, is_right: Any, what: str) -> None:
        if not is_right:
            raise self._fail(what)

    def _check_header(self) -> None:
        size = len(self.data)
        self._require(size >= PAGE_BYTES, f"it has {size} bytes, less than its header")
        header = self.header = ffi.from_buffer("struct image_header *", self.data)
        self._require(header.magic == lib.IMAGE_MAGIC, "it does not begin as an image does")
        self._require(
            header.version == lib.IMAGE_VERSION,
            f"its version is {header.version}, and this program knows {lib.IMAGE_VERSION}",
        )
        self._require(header.bytes == size, f"it says {header.bytes} bytes, and has {size}")
        self._require(
            header.data_at % PAGE_BYTES == 0 and PAGE_BYTES <= header.data_at <= size,
            f"its data begins at {header.data_at} of {size}",
        )
        self._require(
            header.data_pages * PAGE_BYTES == size - header.data_at,
            f"it says {header.data_pages} pages of data",
        )
        self.check_sum(header.data_at)

    def check_sum(self, front_bytes: int) -> None:
        """Whether the front is as it was written, whatever it says; DamagedError."""
        rest_at = _CHECKSUM_AT + _CHECKSUM_BYTES
        found = crc32c(bytes(_CHECKSUM_BYTES), crc32c(self.data[:_CHECKSUM_AT]))
        found = crc32c(self.data[rest_at:front_bytes], found)
        self._require(found == self.header.checksum, "its header and parts do not sum up")

    def _check_part(self, name: str) -> None:
        part = getattr(self.header, name)
        bytes_ = part.count * ffi.sizeof(PARTS[name])
        self._require_inside(part.at, bytes_, f"part {name}")

    def _require_inside(self, at: int, size: int, what: str) -> None:
        self._require(
            at % 8 == 0 and at >= _HEADER_BYTES and at + size <= self.header.data_at,
            f"{what}, {size} bytes at {at}, is not before the data",
        )

    def _check_strings(self) -> None:
        part = self.header.strings
        strings = self.data[part.at : part.at + part.count]
        self._require(part.count and strings[0] == 0 and strings[-1] == 0, "its strings do not end")
        process = self.header.process
        used = [self.header.kernel, self.header.cpu_flags, process.cwd]
        names = self.table("paths", "image_path")["name"]
        self._require(
            max(used) < part.count and (names < part.count).all(), "a string is beyond their end"
        )
        self._require(process.executable < len(names), "its executable has no path")

    def _check_memory(self) -> None:
        runs = self.table("runs", "image_run")
        vmas = self.table("vmas", "image_vma")
        first_data, end_data = self.header.data_at // PAGE_BYTES, self.header.bytes // PAGE_BYTES
        # In one order: a sum that overflows must not be taken for a small one.
        pages, first, data = runs["pages"], runs["first_page"], runs["data_page"]
        is_inside = (
            (pages >= 1)
            & (pages <= _USER_PAGES)
            & (first <= _USER_PAGES)
            & (data >= first_data)
            & (data < end_data)
        )
        self._require(is_inside.all(), "a run of pages is beyond its bounds")
        self._require((data + pages <= end_data).all(), "a run of pages is beyond its data")
        self._require_disjoint(first, first + pages, "runs of pages")
        by_data = np.sort(runs, order="data_page")
        self._require_disjoint(
            by_data["data_page"], by_data["data_page"] + by_data["pages"], "data of runs"
        )
        start, end = vmas["start"], vmas["end"]
        self._require(
            ((start | end) % PAGE_BYTES == 0).all() and (end <= USER_SPACE_END).all(),
            "a mapping is beyond its bounds",
        )
        self._require((start < end).all(), "a mapping is empty")
        self._require_disjoint(start, end, "mappings")
        self._require(np.isin(vmas["kind"], list(VmaKind)).all(), "a mapping is of no known kind")
        is_file = np.isin(vmas["kind"], [VmaKind.FILE, VmaKind.FILE_SHARED])
        self._require(
            (vmas["path"][is_file] < self.header.paths.count).all(), "a mapping has no path"
        )
        self._check_runs_of_vmas(runs, vmas)
        gap = self.header.gap_at
        overlaps = (start < gap + _GAP_BYTES) & (end > gap)
        self._require(
            gap and gap % PAGE_BYTES == 0 and gap < USER_SPACE_END and not overlaps.any(),
            f"its gap at {gap:#x} is not free",
        )

    def _check_runs_of_vmas(self, runs: Table, vmas: Table) -> None:
        count = vmas["runs"].astype(np.int64)
        ends = np.cumsum(count)
        has_runs = count > 0
        self._require(
            (vmas["first_run"][has_runs] == (ends - count)[has_runs]).all()
            and (int(ends[-1]) if len(ends) else 0) == len(runs),
            "its runs are not those of its mappings",
        )
        owner = np.repeat(np.arange(len(vmas)), count)
        end = runs["first_page"] + runs["pages"]
        self._require(
            (runs["first_page"] >= vmas["start"][owner] // PAGE_BYTES).all()
            and (end <= vmas["end"][owner] // PAGE_BYTES).all(),
            "a run of pages is not within its mapping",
        )

    def _require_disjoint(self, begins: Table, ends: Table, what: str) -> None:
        self._require((begins[1:] >= ends[:-1]).all(), f"{what} are not in order, or overlap")

    def _check_threads(self) -> None:
        header = self.header
        threads = self.table("threads", "image_thread")
        self._require(len(threads), "it has no thread")
        self._require(
            threads["tid"][0] == header.process.pid and (threads["tid"] > 0).all(),
            f"its first thread is not process {header.process.pid}",
        )
        self._require(len(np.unique(threads["tid"])) == len(threads), "two threads are one")
        self._require(
            0 < header.xstate_bytes <= lib.TRACE_XSTATE_BYTES_MAX,
            f"its FPU state takes {header.xstate_bytes} bytes",
        )
        for at in threads["xstate_at"].tolist():
            self._require(at % _XSTATE_ALIGN == 0, f"FPU state is at {at}")
            self._require_inside(at, header.xstate_bytes, "FPU state")
        waiting = header.pending_part.count
        ends = threads["first_pending"] + threads["pending"]
        self._require(
            header.pending <= waiting
            and (threads["first_pending"] <= waiting).all()
            and (ends <= waiting).all(),
            "a waiting signal is missing",
        )

    def _check_fds(self) -> None:
        fds = self.table("fds", "image_fd")
        numbers = fds["number"]
        self._require(
            (numbers >= 0).all() and len(np.unique(numbers)) == len(numbers),
            "two descriptors have one number, or one has none",
        )
        self._require((numbers <= self.header.max_fd).all(), "a descriptor is above the highest")
        self._require(np.isin(fds["kind"], list(FdKind)).all(), "a descriptor is of no known kind")
        for place, fd in enumerate(fds):
            what = f"descriptor {fd['number']}"
            same_as, kind = int(fd["same_as"]), FdKind(int(fd["kind"]))
            self._require(-1 <= same_as < place, f"{what} is the same as one that does not precede")
            if kind in _WITH_PATH:
                self._require(fd["path"] < self.header.paths.count, f"{what} has no path")
            size = int(fd["extra"]["count"])
            if size:
                self._require_inside(int(fd["extra"]["at"]), size, f"what belongs to {what}")
            if same_as < 0:
                self._check_extra(kind, int(fd["extra"]["at"]), size, what)

    def _check_extra(self, kind: FdKind, at: int, size: int, what: str) -> None:
        is_right = size % _EXTRA_UNIT.get(kind, 1) == 0
        if kind is FdKind.TIMER:
            is_right = size == _EXTRA_UNIT[kind]
        if kind is FdKind.LISTENING:
            own = ffi.sizeof("struct image_listener")
            is_right = size >= own
            if is_right:
                part = self.data[at : at + own]
                listener = ffi.from_buffer("struct image_listener *", part)
                is_right = size == own + listener.address_bytes
        self._require(is_right, f"what belongs to {what} has {size} bytes")

    def _check_bits(self) -> None:
        words = -(-self.header.data_pages // 64) if self.header.has_accessed else 0
        for name in ("accessed", "dirty"):
            count = getattr(self.header, name).count
            self._require(count == words, f"it has {count} words of {name} bits, not {words}")
