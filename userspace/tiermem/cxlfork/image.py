"""An image in the pool, read back: checked as a whole first, then as typed records.

    with open_image(pool, "warm") as image:
        image.process.pid, len(image.threads), image.data_pages

Every offset and count is checked against the image's bounds before it is followed, and
DamagedError names the part that is wrong: an image comes from another host.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tiermem.cxlfork import image_records as decode
from tiermem.cxlfork.image_check import PARTS, FrontCheck
from tiermem.cxlfork.records import (
    Descriptor,
    FdKind,
    File,
    HostFacts,
    PosixTimer,
    Process,
    Thread,
    Vma,
    VmaFlag,
    VmaKind,
)
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.pool import Extent, Pool
from tiermem.native._fork import ffi

PREFIX = "fork/"
"""Images' names in the pool begin with it."""


def image_name(name: str) -> str:
    """What the pool calls the image `name`."""
    return f"{PREFIX}{name}"


def open_image(pool: Pool, name: str, *, verify: bool = True) -> Image:
    """Hold an image, checked; close it, or leave the `with` block.

    MissingError, DamagedError. verify: also that its pages are those that were published.
    """
    extent = pool.open(image_name(name), verify=verify)
    try:
        return Image(extent.view(), name, extent)
    except BaseException:
        extent.release()
        raise


class Image:
    """An image, typed. Made of any bytes; they must stay until it is closed."""

    def __init__(self, data: memoryview, name: str, extent: Extent | None = None) -> None:
        self.name = name
        self._extent = extent
        self._data = data
        self._front = FrontCheck(data, name)
        self.header: Any = self._front.check()
        self._front_bytes = int(self.header.data_at)

    def check_again(self) -> None:
        """Whether its front still is what was checked; DamagedError. Cheap, and not of pages."""
        self._front.check_sum(self._front_bytes)

    def array(self, part: str) -> Any:
        """A part of the header as a C array; its length is known to len()."""
        where = getattr(self.header, part)
        view = self._data[where.at : where.at + where.count * ffi.sizeof(PARTS[part])]
        return ffi.from_buffer(ffi.getctype(PARTS[part], "[]"), view) if where.count else ()

    def bytes_of(self, part: Any) -> bytes:
        """What a struct image_part of bytes is of."""
        return bytes(self._data[part.at : part.at + part.count])

    def string(self, at: int) -> str:
        """A string by its offset."""
        part = self.header.strings
        end = part.at + part.count
        data = bytes(self._data[part.at + at : end])
        return data[: data.index(0)].decode(errors="surrogateescape")

    @cached_property
    def files(self) -> list[File]:
        """All that it opens or maps by name."""
        return [decode.read_file(path, self.string(path.name)) for path in self.array("paths")]

    @cached_property
    def host(self) -> HostFacts:
        """What the host was like that it was made on."""
        header = self.header
        return HostFacts(
            created_ns=header.created_ns,
            monotonic_ns=header.monotonic_ns,
            boottime_ns=header.boottime_ns,
            kernel=self.string(header.kernel),
            cpu_flags=self.string(header.cpu_flags),
            vdso_checksum=header.vdso_checksum,
            xfeatures=header.xfeatures,
        )

    @cached_property
    def process(self) -> Process:
        """What all its threads share."""
        process = self.header.process
        return decode.read_process(
            process,
            executable=self.files[process.executable],
            cwd=self.string(process.cwd),
            groups=self.array("groups"),
            auxv=self.bytes_of(self.header.auxv),
            pending=self._pending(0, self.header.pending),
        )

    @cached_property
    def threads(self) -> list[Thread]:
        """The leader first."""
        size = self.header.xstate_bytes
        return [
            decode.read_thread(
                thread,
                xstate=bytes(self._data[thread.xstate_at : thread.xstate_at + size]),
                pending=self._pending(thread.first_pending, thread.pending),
            )
            for thread in self.array("threads")
        ]

    def _pending(self, first: int, count: int) -> tuple[bytes, ...]:
        waiting = self.array("pending_part")
        return tuple(bytes(waiting[i]) for i in range(first, first + count))

    @cached_property
    def vmas(self) -> list[Vma]:
        """By address."""
        return [self._vma(vma) for vma in self.array("vmas")]

    def _vma(self, vma: Any) -> Vma:
        kind = VmaKind(vma.kind)
        is_file = kind in (VmaKind.FILE, VmaKind.FILE_SHARED)
        return Vma(
            start=vma.start,
            end=vma.end,
            protection=vma.protection,
            kind=kind,
            flags=VmaFlag(vma.flags),
            file=self.files[vma.path] if is_file else None,
            file_offset=vma.file_offset,
            first_run=vma.first_run,
            runs=vma.runs,
        )

    @cached_property
    def descriptors(self) -> list[Descriptor]:
        """As they must be made."""
        fds = list(self.array("fds"))
        return [self._descriptor(fd, fds) for fd in fds]

    def _descriptor(self, fd: Any, fds: list[Any]) -> Descriptor:
        kind = FdKind(fd.kind)
        return Descriptor(
            number=fd.number,
            kind=kind,
            open_flags=fd.open_flags,
            descriptor_flags=fd.descriptor_flags,
            same_as=None if fd.same_as < 0 else fds[fd.same_as].number,
            file=self.files[fd.path] if kind in (FdKind.PATH, FdKind.MEMORY) else None,
            position=fd.position,
            object=fd.object,
            value=fd.value,
            extra=self.bytes_of(fd.extra),
        )

    @cached_property
    def timers(self) -> list[PosixTimer]:
        """By id."""
        return [decode.read_timer(timer) for timer in self.array("timers")]

    @cached_property
    def runs(self) -> npt.NDArray[np.int64]:
        """First page, pages, data page; by address."""
        where = self.header.runs
        words = np.frombuffer(self._data, dtype="<i8", count=where.count * 3, offset=where.at)
        return words.reshape(-1, 3)

    @property
    def stored_pages(self) -> int:
        """Pages of the process that lie in it."""
        return int(self.runs[:, 1].sum())

    def page(self, address: int) -> bytes | None:
        """The page that lay at an address; None where it has none, which reads as zeros."""
        number = address // PAGE_BYTES
        at = int(np.searchsorted(self.runs[:, 0], number, side="right")) - 1
        if at < 0:
            return None
        first, pages, data = self.runs[at].tolist()
        if number >= first + pages:
            return None
        begin = (data + number - first) * PAGE_BYTES
        return bytes(self._data[begin : begin + PAGE_BYTES])

    def bits(self, part: str) -> npt.NDArray[np.bool_]:
        """`accessed` or `dirty`, one for each page of data; empty where it has none."""
        words = np.frombuffer(self.bytes_of_words(part), dtype=np.uint8)
        pages = self.header.data_pages if len(words) else 0
        return np.unpackbits(words, bitorder="little", count=pages).view(np.bool_)

    def bytes_of_words(self, part: str) -> bytes:
        """A part of 64-bit words."""
        where = getattr(self.header, part)
        return bytes(self._data[where.at : where.at + where.count * 8])

    def close(self) -> None:
        """Do not hold it any more."""
        for name in ("runs", "header", "_front", "_data"):
            self.__dict__.pop(name, None)
        if self._extent is not None:
            self._extent.release()
            self._extent = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
