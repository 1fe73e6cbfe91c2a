"""Where a reservation's memory is from: new memory, a file or device, an arena."""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from tiermem.errors import KernelError, NoSpaceError, TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.layer.placement import bind
from tiermem.serving.vattention import pieces as calls
from tiermem.serving.vattention.pieces import Piece


class Source(Protocol):
    """`bytes` of memory, by the place in it (a piece's `source`, from `first_place` on).

    is_clear: what was not mapped before reads as zeros. joins: pieces may be of any length,
    not only of a page group.
    """

    is_clear: bool
    joins: bool
    first_place: int
    bytes: int

    def commit(self, pieces: Sequence[Piece]) -> None:
        """Map them all, touched, or none: KernelError, NoSpaceError. Dirty ones as zeros, from
        when they can be seen on."""

    def uncommit(self, pieces: Sequence[Piece]) -> None:
        """Nobody can touch them any more; their memory may be given elsewhere."""

    def close(self) -> None:
        """Nobody maps it any more."""


class PrivateMemory:
    """Memory of this process alone, taken when it is mapped, and given back to the kernel when
    it is unmapped. In page groups of 2 MiB it is huge pages, where the kernel has some: then it
    comes several times as fast (bench.vattention).
    """

    is_clear = True
    joins = True
    first_place = 0

    def __init__(self, size_bytes: int) -> None:
        """NoSpaceError where this machine has not so much memory available now."""
        self.bytes = _whole_pages(size_bytes)
        _check_available(size_bytes)

    def commit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.commit_private(pieces)

    def uncommit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.uncommit(pieces)

    def close(self) -> None:
        """See Source."""


class MemoryFile:
    """Memory of this process alone as a file (memfd), taken when it is mapped, on `nodes` if
    given.

    What is unmapped goes back to the kernel; with `keeps` it stays here, as it is, for what
    is mapped next, which then costs no clearing.
    """

    is_clear = True
    joins = True
    first_place = 0

    def __init__(
        self, size_bytes: int, *, nodes: Collection[int] = (), keeps: bool = False
    ) -> None:
        """NoSpaceError where this machine has not so much memory available now."""
        self.bytes = _whole_pages(size_bytes)
        self._keeps = keeps
        _check_available(size_bytes)
        self._handle = os.memfd_create("tiermem-kv", os.MFD_CLOEXEC)
        try:
            os.ftruncate(self._handle, size_bytes)
            if nodes:
                self._bind(nodes)
        except BaseException:
            os.close(self._handle)
            raise

    def _bind(self, nodes: Collection[int]) -> None:
        # The policy of a shared mapping is the file's, and stays when the mapping has gone.
        with mmap.mmap(self._handle, self.bytes) as whole:
            bind(calls.address_of(whole), self.bytes, nodes)

    def commit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        try:
            calls.commit_memory_file(self._handle, pieces)
        except TiermemError:
            # Of what was touched nothing is mapped, and nothing of this file is in use elsewhere.
            if not self._keeps:
                calls.punch(self._handle, pieces)
            raise

    def uncommit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.uncommit(pieces)
        if not self._keeps:
            calls.punch(self._handle, pieces)

    def resident_bytes(self) -> int:
        """Memory that it takes now."""
        return os.fstat(self._handle).st_blocks * 512

    def close(self) -> None:
        """See Source."""
        os.close(self._handle)


class FileRange:
    """A range of a file or a devdax device, such as a pool's area: it stays as large as it is."""

    is_clear = False
    joins = True

    def __init__(self, path: Path, offset: int, size_bytes: int) -> None:
        """`offset`: of a whole page, which for a device is one of its alignment."""
        if offset % PAGE_BYTES:
            raise TiermemError(f"{path}: offset {offset} is not of a whole page ({PAGE_BYTES})")
        self.path, self.first_place = path, offset
        self.bytes = _whole_pages(size_bytes)
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(f"open {path}", error.errno or 0) from None

    def commit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.commit_file(self._handle, pieces, str(self.path))

    def uncommit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.uncommit(pieces)

    def close(self) -> None:
        """See Source."""
        os.close(self._handle)


class Pages(Protocol):
    """Private memory of this process that is there already: a buffer of an arena."""

    @property
    def address(self) -> int:
        """Where it begins: a multiple of the page group."""

    @property
    def bytes(self) -> int:
        """How much there is."""

    def view(self) -> memoryview:
        """All of it; while somebody has it, nobody else is given the memory."""


class ArenaPages:
    """Pages of an arena: moved into the reservation, so that nothing is cleared or touched.

    They are on the arena's nodes and, in groups of 2 MiB, huge where they were. While they
    are mapped the arena's buffer has none; its client must not touch it until `close`.
    """

    is_clear = False
    # A mapping that was moved there and back need not be one with its neighbours any more.
    joins = False

    def __init__(self, pages: Pages) -> None:
        if pages.address % PAGE_BYTES:
            raise TiermemError(f"pages at {pages.address:#x}: begin within a page")
        self._held: memoryview | None = pages.view()
        self.first_place = pages.address
        self.bytes = _whole_pages(pages.bytes)

    def commit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.commit_moved(pieces, "an arena's pages")

    def uncommit(self, pieces: Sequence[Piece]) -> None:
        """See Source."""
        calls.return_moved(pieces)

    def close(self) -> None:
        """See Source. The arena's buffer is its client's again."""
        self._held = None


def _check_available(size_bytes: int) -> None:
    if (available := psutil.virtual_memory().available) < size_bytes:
        raise NoSpaceError(f"{size_bytes} bytes are wanted, this machine has {available} available")


def _whole_pages(size_bytes: int) -> int:
    if size_bytes < PAGE_BYTES:
        raise TiermemError(f"{size_bytes} bytes of memory: at least a page is needed")
    return size_bytes // PAGE_BYTES * PAGE_BYTES
