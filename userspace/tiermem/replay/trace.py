"""What a trace is: records in chunks, and the recordings that hold them.

The file format is described in fpga_models/trackers/trace.h: a 64-byte header,
then little-endian records of 8 bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tiermem.errors import TiermemError
from tiermem.native._models import ffi, lib
from tiermem.native.models import U64, count_pages
from tiermem.native.struct_dtype import struct_dtype

HEADER_DTYPE = struct_dtype(ffi, "tm_trace_header")
CHUNK_RECORDS = 1 << 20
_GAP_SHIFT = np.uint64(lib.TM_TRACE_GAP_SHIFT)
_WRITE_SHIFT = np.uint64(lib.TM_TRACE_WRITE_BIT)
GAP_MAX: int = lib.TM_TRACE_GAP_MAX
ADDRESS_LIMIT = 1 << int(lib.TM_TRACE_ADDRESS_BITS)


class TraceError(TiermemError):
    """A recording that cannot be replayed; names the file and the offset."""


class Trace(Protocol):
    """A replayable stream of accesses. Iterating twice gives the same records."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def records(self) -> int:
        """How many records there are."""

    @property
    def dropped(self) -> int:
        """Accesses that the recorder could not keep: above 0, the trace is not whole."""

    @property
    def pages(self) -> int:
        """Distinct pages touched, an upper bound."""

    @property
    def first_page(self) -> int | None:
        """All `pages` from this one on get their frames before the first access, in
        order; None: each at its first touch."""

    def chunks(self) -> Iterator[U64]:
        """The records, in arrays of at most CHUNK_RECORDS."""

    def locate(self, record: int) -> str:
        """Where record number `record` lies, for messages."""


def encode(addresses: U64, is_write: np.ndarray, gaps: np.ndarray) -> U64:
    """Records of accesses: byte addresses below 2^50, instructions since the last (0..4095)."""
    return np.asarray(
        addresses
        | (gaps.astype(np.uint64) << _GAP_SHIFT)
        | (is_write.astype(np.uint64) << _WRITE_SHIFT),
        dtype=np.uint64,
    )


@dataclass(frozen=True, slots=True)
class Recording:
    """A trace file that was checked."""

    path: Path
    name: str
    pages: int
    records: int
    dropped: int = 0
    first_page: int | None = None

    def chunks(self) -> Iterator[U64]:
        """See Trace.chunks."""
        data = _map(self.path, self.records)
        for start in range(0, self.records, CHUNK_RECORDS):
            yield np.ascontiguousarray(data[start : start + CHUNK_RECORDS])

    def locate(self, record: int) -> str:
        """See Trace.locate."""
        return f"{self.path}: offset {_offset(record)}"


def open_recording(path: Path) -> Recording:
    """Map and check the recording at `path`, every record of it.

    TraceError names the file and the byte offset where it is wrong: cut short,
    no trace, another version, a malformed record.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEADER_DTYPE.itemsize)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from None
    records, dropped = _check_header(path, head, size)
    data = _map(path, records)
    pages, bad = count_pages(data)
    if bad < records:
        raise TraceError(
            f"{path}: offset {_offset(bad)}: malformed record {int(data[bad]):#018x} "
            f"(a gap record has bits 63..51 clear)"
        )
    return Recording(path, path.name, pages, records, dropped)


def _map(path: Path, records: int) -> U64:
    return np.memmap(path, dtype="<u8", mode="r", offset=HEADER_DTYPE.itemsize, shape=(records,))


def _offset(record: int) -> int:
    return int(HEADER_DTYPE.itemsize) + record * int(lib.TM_TRACE_RECORD_BYTES)


def _check_header(path: Path, head: bytes, size: int) -> tuple[int, int]:
    """(records, dropped)"""
    if len(head) < HEADER_DTYPE.itemsize:
        raise TraceError(
            f"{path}: offset {len(head)}: the file ends inside the header "
            f"of {HEADER_DTYPE.itemsize} bytes"
        )
    header = np.frombuffer(head, dtype=HEADER_DTYPE)[0]
    if header["magic"] != lib.TM_TRACE_MAGIC:
        raise TraceError(f"{path}: offset 0: not a tiermem trace (magic TIERTRC1 is missing)")
    if header["version"] != lib.TM_TRACE_VERSION:
        raise TraceError(
            f"{path}: offset 8: version {header['version']}; only {lib.TM_TRACE_VERSION} is known"
        )
    if header["addresses"] not in (lib.TM_TRACE_VIRTUAL, lib.TM_TRACE_PHYSICAL):
        raise TraceError(f"{path}: offset 12: address kind {header['addresses']}; 0 or 1 is known")
    body = size - len(head)
    fitting = body // lib.TM_TRACE_RECORD_BYTES
    promised = int(header["records"])
    if promised > fitting:
        raise TraceError(
            f"{path}: offset {size}: the file ends after {fitting} of {promised} records"
        )
    if not promised and body % lib.TM_TRACE_RECORD_BYTES:
        raise TraceError(f"{path}: offset {_offset(fitting)}: the last record is cut short")
    if not (promised or fitting):
        raise TraceError(f"{path}: offset {len(head)}: no records")
    return promised or int(fitting), int(header["dropped"])


def write_recording(path: Path, trace: Trace) -> int:
    """Write `trace` to `path` as a recording; returns its number of records."""
    header = np.zeros(1, dtype=HEADER_DTYPE)
    header["magic"] = lib.TM_TRACE_MAGIC
    header["version"] = lib.TM_TRACE_VERSION
    header["addresses"] = lib.TM_TRACE_VIRTUAL
    header["records"] = trace.records
    header["dropped"] = trace.dropped
    try:
        with path.open("wb") as file:
            file.write(header.tobytes())
            for chunk in trace.chunks():
                file.write(chunk.astype("<u8", copy=False).tobytes())
    except OSError as error:
        raise TraceError(f"{path}: cannot be written: {os.strerror(error.errno or 0)}") from None
    return trace.records
