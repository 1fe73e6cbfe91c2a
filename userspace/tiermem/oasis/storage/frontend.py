"""The side of the instances: commands under tags, and what became of them.

For control planes and tests; a block device (`block_device`) uses its `native`, whose
buffers need no copy in between.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from tiermem.errors import (
    KernelError,
    MissingError,
    NoSpaceError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib


class Opcode(IntEnum):
    """enum storage_opcode."""

    FLUSH = lib.STORAGE_FLUSH
    WRITE = lib.STORAGE_WRITE
    READ = lib.STORAGE_READ
    WRITE_ZEROES = lib.STORAGE_WRITE_ZEROES
    DISCARD = lib.STORAGE_DISCARD


class Status(IntEnum):
    """enum storage_status."""

    OK = lib.STORAGE_OK
    UNKNOWN_OPCODE = lib.STORAGE_UNKNOWN_OPCODE
    INVALID_FIELD = lib.STORAGE_INVALID_FIELD
    TAG_IN_USE = lib.STORAGE_TAG_IN_USE
    INTERNAL_ERROR = lib.STORAGE_INTERNAL_ERROR
    NO_SUCH_SLICE = lib.STORAGE_NO_SUCH_SLICE
    WRITE_PROTECTED = lib.STORAGE_WRITE_PROTECTED
    OUT_OF_RANGE = lib.STORAGE_OUT_OF_RANGE
    NO_CAPACITY = lib.STORAGE_NO_CAPACITY
    UNSUPPORTED = lib.STORAGE_UNSUPPORTED
    WRITE_FAULT = lib.STORAGE_WRITE_FAULT
    READ_ERROR = lib.STORAGE_READ_ERROR
    PATH_ERROR = lib.STORAGE_PATH_ERROR


_STATUSES = {int(status): status for status in Status}


@dataclass(frozen=True, slots=True)
class Request:
    """lba and blocks: of the slice, in the link's blocks; 0 for a flush."""

    opcode: Opcode
    lba: int = 0
    blocks: int = 0
    slice: int = 0
    is_fua: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """data: what was read; empty for other commands and where it failed. A status that a
    backend made up is INTERNAL_ERROR."""

    tag: int
    status: Status
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class FrontendCounters:
    """refused: completions of nothing that is in flight."""

    submitted: int
    completed: int
    timed_out: int
    resubmitted: int
    refused: int


class Frontend:
    """One end of a link; one thread uses it."""

    def __init__(self, area: Area, *, timeout_s: float = 0, sleep_max_s: float = 0.001) -> None:
        """timeout_s: how long a command may be pending before it fails with PATH_ERROR; 0: for
        ever. MissingError where nobody has made the link."""
        self._area = area
        self._native: Any = lib.storage_frontend_create(
            ffi.cast("void *", area.address),
            area.bytes,
            area.generation,
            int(timeout_s * 1e9),
            int(sleep_max_s * 1e9),
        )
        if self._native == ffi.NULL:
            raise link_error(area, ffi.errno)
        self.tags = int(lib.storage_frontend_tags(self._native))
        self.block_bytes = int(lib.storage_frontend_block_bytes(self._native))
        self.buffer_bytes = int(lib.storage_frontend_buffer_bytes(self._native))
        self._requests: dict[int, Request] = {}

    def submit(self, request: Request, data: bytes = b"") -> int:
        """Send a command, with what it is to write; its tag.

        NoSpaceError when all tags are in use, TiermemError for data that is not as long as
        the blocks or more than a buffer takes, TimeoutExpiredError while the backend owes
        answers that are given up.
        """
        size = request.blocks * self.block_bytes
        if len(data) != (size if request.opcode == Opcode.WRITE else 0):
            raise TiermemError(
                f"{request.opcode.name} of {request.blocks} blocks of {self.block_bytes} bytes "
                f"with {len(data)} bytes of data"
            )
        if len(data) > self.buffer_bytes:
            raise self._too_large(size)
        tag = int(lib.storage_frontend_take_tag(self._end()))
        if tag < 0:
            raise NoSpaceError(f"all {self.tags} tags are in use")
        ffi.memmove(lib.storage_frontend_buffer(self._end(), tag), data, len(data))
        submitted = lib.storage_frontend_submit(self._end(), tag, _native_request(request))
        if submitted != lib.STORAGE_SUBMITTED:
            lib.storage_frontend_release(self._end(), tag)
            if submitted == lib.STORAGE_TOO_LARGE:
                raise self._too_large(size)
            raise TimeoutExpiredError("the backend owes answers to commands that were given up")
        self._requests[tag] = request
        return tag

    def wait(self, timeout_s: float = 0) -> list[Completion]:
        """What has completed, in the order in which it did; waits until there is something."""
        results = ffi.new("struct storage_result[]", self.tags)
        found = lib.storage_frontend_wait(
            self._end(), results, self.tags, max(0, int(timeout_s * 1e9))
        )
        return [self._completion(results[i].tag, results[i].status) for i in range(found)]

    def reconnect(self, area: Area) -> None:
        """Go on at another link of the same sizes, to another backend; what is pending is
        submitted there. The old area may be closed then. MissingError, TiermemError."""
        address = ffi.cast("void *", area.address)
        if lib.storage_frontend_reconnect(self._end(), address, area.bytes, area.generation) < 0:
            raise link_error(area, ffi.errno)
        self._area = area

    @property
    def native(self) -> Any:
        """struct storage_frontend *, until it is closed. Whoever uses it is its one thread."""
        return self._end()

    @property
    def pending(self) -> int:
        """How many commands wait for an answer."""
        return int(lib.storage_frontend_pending(self._end()))

    @property
    def counters(self) -> FrontendCounters:
        """Since it was made."""
        found = lib.storage_frontend_counters(self._end())
        return FrontendCounters(
            found.submitted, found.completed, found.timed_out, found.resubmitted, found.refused
        )

    def close(self) -> None:
        """Do not use it any more; before the area is closed."""
        if self._native != ffi.NULL:
            lib.storage_frontend_destroy(self._native)
            self._native = ffi.NULL

    def _completion(self, tag: int, status: int) -> Completion:
        request = self._requests.pop(tag)
        known = _STATUSES.get(status, Status.INTERNAL_ERROR)
        data = b""
        if known == Status.OK and request.opcode == Opcode.READ:
            buffer = lib.storage_frontend_buffer(self._end(), tag)
            data = bytes(ffi.buffer(buffer, request.blocks * self.block_bytes))
        if known != Status.PATH_ERROR:
            lib.storage_frontend_release(self._end(), tag)
        return Completion(tag, known, data)

    def _end(self) -> Any:
        if self._native == ffi.NULL:
            raise TiermemError(f"the link in {self._area.entry.name!r}: this end was closed")
        return self._native

    def _too_large(self, size: int) -> TiermemError:
        return TiermemError(f"a command for {size} bytes: {self.buffer_bytes} are allowed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _native_request(request: Request) -> Any:
    native = ffi.new("struct storage_request *")
    native.opcode = request.opcode
    native.flags = lib.STORAGE_FUA if request.is_fua else 0
    native.slice = request.slice
    native.lba = request.lba
    native.blocks = request.blocks
    return native


def link_error(area: Area, code: int) -> TiermemError:
    """What storage_frontend_create or storage_frontend_reconnect means by an errno."""
    name = area.entry.name
    if code == errno.ENOENT:
        return MissingError(f"the link in {name!r}: there is none, it has to be made first")
    if code == errno.EINVAL:
        return TiermemError(f"the link in {name!r}: must be another one, and of the same sizes")
    return KernelError(f"open the link in {name!r}", code)
