"""The HPT/HWT tracker device, as the kernel module tiermem_hpt shows it.

    with TrackerDevice() as device:
        device.set_config(DeviceConfig(track_base=cxl.base, track_bytes=cxl.bytes))
        device.arm()
        hot = device.query(ListKind.HPT, max_entries=25)

Lists come either on demand (`query`) or, with a period configured, by
themselves (`read_list`, or the file in select and asyncio).
"""

from __future__ import annotations

import enum
import errno
import mmap
import os
import select
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tiermem.errors import KernelError
from tiermem.layer.clock_page import ClockPage
from tiermem.layer.device_file import DeviceFile
from tiermem.layer.tracker_config import DeviceConfig, ListKind, kinds_mask
from tiermem.native._uapi import ffi, lib
from tiermem.native.struct_dtype import struct_dtype

DEFAULT_PATH = Path("/dev/tiermem_hpt0")
ENTRIES_MAX: int = lib.TIERMEM_LIST_ENTRIES_MAX
ENTRY_DTYPE = struct_dtype(ffi, "tiermem_list_entry")
"""Fields address (guest physical) and count, both uint64."""

_CLOCK_BYTES = 4096
_RECORD = ffi.typeof("struct tiermem_hpt_record")
_RECORD_BYTES = ffi.sizeof(_RECORD)
_READ_BYTES = _RECORD_BYTES + ENTRIES_MAX * ENTRY_DTYPE.itemsize


class DeviceState(enum.IntEnum):
    """enum tiermem_hw_state."""

    ABSENT = lib.TIERMEM_STATE_ABSENT
    IDLE = lib.TIERMEM_STATE_IDLE
    ARMED = lib.TIERMEM_STATE_ARMED


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is behind the device node."""

    version: int
    state: DeviceState
    kinds: frozenset[ListKind]
    nr_vcpus: int


@dataclass(frozen=True, slots=True)
class DeviceCounters:
    """Totals of the device. overruns: lists overwritten before anybody read them."""

    reads_tracked: int
    reads_ignored: int
    writes_seen: int
    rearms: int
    overruns: dict[ListKind, int]


@dataclass(frozen=True, slots=True)
class HotList:
    """One list, hottest first.

    entries: ENTRY_DTYPE array. busy_ns: modelled time when it was emitted.
    reads: reads counted since the last list of the kind. lost: lists of the kind
    that this file missed before this one (always 0 from `query`).
    """

    kind: ListKind
    entries: npt.NDArray[np.void]
    busy_ns: int
    reads: int
    number: int = 0
    lost: int = 0


def parse_record(data: bytes | bytearray | memoryview) -> HotList:
    """The list in what read(2) returned; ValueError when it is cut short."""
    if len(data) < _RECORD_BYTES:
        raise ValueError(f"a record has at least {_RECORD_BYTES} bytes, not {len(data)}")
    record = ffi.from_buffer("struct tiermem_hpt_record *", data)
    count = record.nr_entries
    if len(data) != _RECORD_BYTES + count * ENTRY_DTYPE.itemsize:
        raise ValueError(f"a record of {count} entries cannot have {len(data)} bytes")
    entries = np.frombuffer(data, dtype=ENTRY_DTYPE, count=count, offset=_RECORD_BYTES)
    return HotList(
        kind=ListKind(record.kind),
        entries=entries.copy(),
        busy_ns=record.busy_ns,
        reads=record.reads,
        number=record.number,
        lost=record.lost,
    )


class TrackerDevice(DeviceFile):
    """/dev/tiermem_hptN. Every open file reads lists at its own pace, from its opening on."""

    def __init__(self, path: Path = DEFAULT_PATH) -> None:
        super().__init__(path, "tiermem_hpt")

    def info(self) -> DeviceInfo:
        """Version, state, the kinds of lists that it has."""
        out = ffi.new("struct tiermem_hpt_info *")
        self.ioctl("ask what it is", lib.TIERMEM_HPT_GET_INFO, ffi.buffer(out))
        return DeviceInfo(
            version=out.version,
            state=DeviceState(out.state),
            kinds=frozenset(kind for kind in ListKind if out.features >> kind & 1),
            nr_vcpus=out.nr_vcpus,
        )

    def config(self) -> DeviceConfig:
        """The configuration in force."""
        out = ffi.new("struct tiermem_hw_config *")
        self.ioctl("read the configuration", lib.TIERMEM_HPT_GET_CONFIG, ffi.buffer(out))
        return DeviceConfig.from_struct(out)

    def set_config(self, config: DeviceConfig) -> None:
        """Configure; all counters start anew. KernelError EINVAL when the device
        refuses it, and then the old configuration stays."""
        self.ioctl("configure", lib.TIERMEM_HPT_SET_CONFIG, ffi.buffer(config.to_struct()))

    def arm(self) -> None:
        """Start counting and the clock; armed already is no error."""
        self.ioctl("arm", lib.TIERMEM_HPT_ARM)

    def disarm(self) -> None:
        """Stop counting and the clock; idle already is no error."""
        self.ioctl("disarm", lib.TIERMEM_HPT_DISARM)

    def query(
        self, kind: ListKind, max_entries: int = ENTRIES_MAX, *, keep: bool = False
    ) -> HotList:
        """The list of `kind` now; its counters are cleared unless `keep`.

        KernelError EINVAL for max_entries outside 1..ENTRIES_MAX, EBUSY for a kind
        that the configuration leaves off, ETIMEDOUT when the device does not answer.
        """
        entries = np.empty(max(0, min(max_entries, ENTRIES_MAX)), dtype=ENTRY_DTYPE)
        argument = ffi.new("struct tiermem_hpt_query *")
        argument.kind = kind
        argument.max_entries = max(0, min(max_entries, 2**32 - 1))
        argument.keep = keep
        argument.entries_ptr = int(entries.ctypes.data)
        what = f"query {kind.name} for {max_entries} entries"
        self.ioctl(what, lib.TIERMEM_HPT_QUERY, ffi.buffer(argument))
        return HotList(kind, entries[: argument.nr_entries], argument.busy_ns, argument.reads)

    def clear(self, kinds: Collection[ListKind]) -> None:
        """Clear these kinds' counters without a list."""
        mask = ffi.new("__u32 *", kinds_mask(kinds))
        self.ioctl("clear", lib.TIERMEM_HPT_CLEAR, ffi.buffer(mask))

    def select_kinds(self, kinds: Collection[ListKind]) -> None:
        """The kinds that `read_list` brings to this file (all, at first)."""
        mask = ffi.new("__u32 *", kinds_mask(kinds))
        self.ioctl("select kinds", lib.TIERMEM_HPT_SET_KINDS, ffi.buffer(mask))

    def read_list(self, timeout_s: float | None = None) -> HotList | None:
        """The next list that the device emitted by itself; None when `timeout_s` passed.

        KernelError ENODEV when the device went away.
        """
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        if not poller.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        try:
            return parse_record(os.read(self.fileno(), _READ_BYTES))
        except OSError as error:
            raise KernelError(f"{self.path}: read a list", error.errno or errno.EIO) from None

    def counters(self) -> DeviceCounters:
        """The device's totals."""
        out = ffi.new("struct tiermem_hpt_counters *")
        self.ioctl("read counters", lib.TIERMEM_HPT_GET_COUNTERS, ffi.buffer(out))
        return DeviceCounters(
            reads_tracked=out.reads_tracked,
            reads_ignored=out.reads_ignored,
            writes_seen=out.writes_seen,
            rearms=out.rearms,
            overruns={kind: out.list_overruns[kind] for kind in ListKind},
        )

    def clock(self) -> ClockPage:
        """The modelled clock, mapped; outlives this file."""
        try:
            page = mmap.mmap(self.fileno(), _CLOCK_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
        except OSError as error:
            raise KernelError(f"{self.path}: map the clock", error.errno or 0) from None
        return ClockPage(page)
