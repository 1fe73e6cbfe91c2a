"""Which slices an SSD has and whose they are, kept on the SSD itself.

    format_table(disk)                          # once in the SSD's life
    table = SliceTable.open(disk)
    table.begin(Owner(host=2, instance=0, id=77), 10 << 30)
    while table.work():                         # zeros what it is to be given
        pass
    table.find(owner)                           # now HELD

Whatever moment the SSD's host dies in, what is HELD stays, blocks are one owner's, and what
an owner is given reads as zeros: a slice is HELD only after its blocks were zeroed, and its
blocks are free again only after they were zeroed. native/storage_slice_table.h has the layout.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple, Protocol, Self

import numpy as np

from tiermem.errors import DamagedError, MissingError, NameTakenError, NoSpaceError
from tiermem.native._storage import ffi, lib
from tiermem.native.struct_dtype import struct_dtype
from tiermem.oasis.storage.slices import Slice

DATA_AT: int = lib.STORAGE_TABLE_DATA_AT
ALIGN: int = lib.STORAGE_TABLE_ALIGN
SLICES_MAX: int = lib.STORAGE_TABLE_SLICES_MAX
COPY_BYTES: int = lib.STORAGE_TABLE_COPY_BYTES
ZEROED_AT_ONCE = 64 << 20
"""bytes, in one `work`."""

_MAGIC = 0x656C626174636C73  # "slctable"
_HEAD = struct_dtype(ffi, "storage_table_head")
_SLICE = struct_dtype(ffi, "storage_table_slice")
_CHECKSUM_BYTES = 8


class Disk(Protocol):
    """An SSD as the table needs it; errors are KernelErrors."""

    @property
    def size_bytes(self) -> int:
        """All that it has."""

    def read(self, at: int, size: int) -> bytes:
        """What is there."""

    def write(self, at: int, data: bytes) -> None:
        """Durable when this returns."""

    def zero(self, at: int, size: int) -> None:
        """Reads as zeros from then on, also after a loss of power."""


class Owner(NamedTuple):
    """An instance, and the number that its host has given its slice and gives no other."""

    host: int
    instance: int
    id: int


class State(IntEnum):
    """enum storage_slice_state."""

    NEW = lib.STORAGE_SLICE_NEW
    HELD = lib.STORAGE_SLICE_HELD
    FREED = lib.STORAGE_SLICE_FREED


@dataclass(frozen=True, slots=True)
class OwnedSlice:
    """Blocks of the SSD, whose they are, and whether their owner has them."""

    owner: Owner
    offset_bytes: int
    bytes: int
    state: State

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset_bytes + self.bytes

    @property
    def blocks(self) -> Slice:
        """For a backend."""
        return Slice(self.offset_bytes, self.bytes)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one copy says. untouched_at: from there on nobody has ever been given anything, and
    whatever the SSD had before the pod may still be there."""

    sequence: int
    untouched_at: int
    slices: tuple[OwnedSlice, ...]


class SliceTable:
    """For one thread of the SSD's host, which alone writes it.

    limit_bytes: where slices end. damaged: how many of the two copies were, when it was
    opened. A change that could not be written (KernelError) has not been made.
    """

    def __init__(self, disk: Disk, kept: _Kept, limit_bytes: int, damaged: int) -> None:
        self.limit_bytes, self.damaged = limit_bytes, damaged
        self._disk, self._kept = disk, kept
        # Whatever was in the middle of being zeroed is zeroed from its begin.
        self._to_zero = {
            one.owner: (one.offset_bytes, one.end)
            for one in kept.slices
            if one.state is not State.HELD
        }

    @classmethod
    def open(cls, disk: Disk, size: int | None = None) -> Self:
        """As it was left; whose owner has not had it yet is nobody's. size: how much of the SSD
        may be used. MissingError where there is no table, DamagedError where there is no copy
        that is whole."""
        copies = [disk.read(number * COPY_BYTES, COPY_BYTES) for number in range(2)]
        kept = [
            one for one in (_decode(copy, disk.size_bytes) for copy in copies) if one is not None
        ]
        if not kept:
            if any(_has_magic(copy) for copy in copies):
                raise DamagedError("its table of slices: neither copy is whole")
            raise MissingError("there is no table of slices on it")
        newest = max(kept, key=lambda one: one.sequence)
        left = tuple(
            replace(one, state=State.FREED) if one.state is State.NEW else one
            for one in newest.slices
        )
        limit = min(disk.size_bytes, size or disk.size_bytes) // ALIGN * ALIGN
        return cls(disk, replace(newest, slices=left), limit, len(copies) - len(kept))

    @property
    def slices(self) -> tuple[OwnedSlice, ...]:
        """All of them, from the begin of the SSD on."""
        return self._kept.slices

    @property
    def bytes(self) -> int:
        """That slices may take together."""
        return max(0, self.limit_bytes - DATA_AT)

    @property
    def room_bytes(self) -> int:
        """The largest slice that there is still room for."""
        if len(self.slices) >= SLICES_MAX:
            return 0
        return max((end - begin for begin, end in self._gaps()), default=0)

    def find(self, owner: Owner) -> OwnedSlice | None:
        """None where that owner has none, or has given it up."""
        for one in self.slices:
            if one.owner == owner and one.state is not State.FREED:
                return one
        return None

    def begin(self, owner: Owner, size: int) -> OwnedSlice:
        """A slice of so many bytes or some more, as small a gap as there is for it; not HELD
        before `work` has been done. NoSpaceError; NameTakenError where there is or was one."""
        if any(one.owner == owner for one in self.slices):
            raise NameTakenError(f"slice {owner.id:x}: there is one of that number")
        needed = -(-size // ALIGN) * ALIGN
        fitting = [gap for gap in self._gaps() if gap[1] - gap[0] >= needed]
        if not fitting or len(self.slices) >= SLICES_MAX or size <= 0:
            raise NoSpaceError(f"a slice of {size} bytes: there is room for {self.room_bytes}")
        at, _ = min(fitting, key=lambda gap: (gap[1] - gap[0], gap[0]))
        end, untouched_at = at + needed, self._kept.untouched_at
        state = State.HELD if end <= untouched_at else State.NEW
        made = OwnedSlice(owner, at, needed, state)
        self._write((*self.slices, made), max(untouched_at, end))
        if state is State.NEW:
            self._to_zero[owner] = max(at, untouched_at), end
        return made

    def free(self, owner: Owner) -> None:
        """Nobody's from now on, and somebody else's when `work` has been done. MissingError."""
        found = self.find(owner)
        if found is None:
            raise MissingError(f"slice {owner.id:x}: there is none of that number")
        self._replace(found, replace(found, state=State.FREED))
        self._to_zero[owner] = found.offset_bytes, found.end

    def work(self) -> bool:
        """Zero some of what is to be zeroed; whether there was anything. KernelError."""
        for owner, (at, end) in self._to_zero.items():
            until = min(end, at + ZEROED_AT_ONCE)
            if at < until:
                self._disk.zero(at, until - at)
                self._to_zero[owner] = until, end
            if until == end:
                self._has_zeroed(owner)
            return True
        return False

    def _has_zeroed(self, owner: Owner) -> None:
        (found,) = (one for one in self.slices if one.owner == owner)
        is_new = found.state is State.NEW
        self._replace(found, replace(found, state=State.HELD) if is_new else None)
        del self._to_zero[owner]

    def _replace(self, old: OwnedSlice, new: OwnedSlice | None) -> None:
        kept = [one for one in self.slices if one is not old]
        self._write([*kept, *([] if new is None else [new])], self._kept.untouched_at)

    def _write(self, slices: Iterable[OwnedSlice], untouched_at: int) -> None:
        ordered = tuple(sorted(slices, key=lambda one: one.offset_bytes))
        after = _Kept(self._kept.sequence + 1, untouched_at, ordered)
        self._disk.write(after.sequence % 2 * COPY_BYTES, _encode(after))
        self._kept = after

    def _gaps(self) -> list[tuple[int, int]]:
        edges = [DATA_AT, *(edge for one in self.slices for edge in (one.offset_bytes, one.end))]
        pairs = list(zip(edges[::2], [*edges[1::2], self.limit_bytes], strict=True))
        return [(begin, end) for begin, end in pairs if begin < end]


def format_table(disk: Disk) -> None:
    """Begin a table without slices; whatever the SSD has is to be given away. NoSpaceError."""
    if disk.size_bytes < DATA_AT + ALIGN:
        raise NoSpaceError(f"an SSD of {disk.size_bytes} bytes: {DATA_AT + ALIGN} is the least")
    # An older table must not be the newer one of the two.
    disk.write(0, bytes(2 * COPY_BYTES))
    for sequence in (1, 2):
        disk.write(sequence % 2 * COPY_BYTES, _encode(_Kept(sequence, DATA_AT, ())))


def is_blank(disk: Disk) -> bool:
    """Whether there is nothing where tables, partitions and file systems begin."""
    return not any(disk.read(0, min(disk.size_bytes, 2 * COPY_BYTES)))


def _encode(kept: _Kept) -> bytes:
    rows = [
        (one.owner.id, one.offset_bytes, one.bytes, one.owner.host, one.owner.instance, one.state)
        for one in kept.slices
    ]
    head = np.array(
        [(0, _MAGIC, lib.STORAGE_TABLE_VERSION, len(rows), kept.sequence, kept.untouched_at)],
        _HEAD,
    )
    body = head.tobytes()[_CHECKSUM_BYTES:] + np.array(rows, _SLICE).tobytes()
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body


def _has_magic(copy: bytes) -> bool:
    return bool(np.frombuffer(copy, _HEAD, 1)[0]["magic"] == _MAGIC)


def _decode(copy: bytes, disk_bytes: int) -> _Kept | None:
    """None where it is not whole, or of nobody's making."""
    head = np.frombuffer(copy, _HEAD, 1)[0]
    count = int(head["slices"])
    if not _has_magic(copy) or head["version"] != lib.STORAGE_TABLE_VERSION or count > SLICES_MAX:
        return None
    end = _HEAD.itemsize + count * _SLICE.itemsize
    if int(head["checksum"]) != zlib.crc32(copy[_CHECKSUM_BYTES:end]):
        return None
    try:
        slices = tuple(
            OwnedSlice(Owner(host, instance, number), at, size, State(state))
            for number, at, size, host, instance, state in np.frombuffer(
                copy, _SLICE, count, _HEAD.itemsize
            ).tolist()
        )
    except ValueError:
        return None
    kept = _Kept(int(head["sequence"]), int(head["untouched_at"]), slices)
    return kept if _may_be(slices, disk_bytes) else None


def _may_be(slices: Sequence[OwnedSlice], disk_bytes: int) -> bool:
    are_in_order = all(one.end <= other.offset_bytes for one, other in pairwise(slices))
    are_inside = all(DATA_AT <= one.offset_bytes < one.end <= disk_bytes for one in slices)
    return are_in_order and are_inside and len({one.owner for one in slices}) == len(slices)
