"""The backend on a host: a reservation of mmap, into which a source's memory is mapped.

Addresses without memory have no access at all: whoever reads beyond what is mapped is
stopped by the kernel, unless he asked for the addresses to be covered.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from tiermem.errors import ConfigError, TiermemError
from tiermem.serving.vattention import pieces as calls
from tiermem.serving.vattention.backend import InUseError
from tiermem.serving.vattention.groups import GroupTable
from tiermem.serving.vattention.layout import KvLayout, Run
from tiermem.serving.vattention.pieces import Piece
from tiermem.serving.vattention.sources import Source

# For what the process maps besides.
_OTHER_MAPS = 4096


class LayerBackend:
    """Addresses for a layout, memory from `source`, which it closes. See Backend."""

    def __init__(self, layout: KvLayout, source: Source) -> None:
        """ConfigError where the kernel would not allow as many mappings."""
        self._group_bytes = layout.group_bytes
        self._source = source
        # A group's memory is its number in the source; those that were mapped before are clear,
        # as all are in a source that is.
        self._table = GroupTable[int](layout, source.bytes // layout.group_bytes)
        self._check_maps(layout.tensors * layout.batch)
        self._bytes = layout.reserved_bytes
        self.address = calls.reserve(self._bytes, self._group_bytes)
        groups = self._table.groups
        self._free = list(range(groups))
        self._clear = bytearray(b"\1" * groups if source.is_clear else groups)
        self._export: Any = calls.writable(self.address, self._bytes)

    @property
    def memory_bytes(self) -> int:
        """See Backend."""
        return self._table.memory_bytes

    def buffer(self) -> Any:
        """All addresses, for views; the backend cannot be closed while they are in use."""
        if self._export is None:
            raise TiermemError("vAttention's memory was closed")
        return self._export

    def map(self, runs: Sequence[Run]) -> None:
        """See Backend."""
        virtual = self._table.to_map(runs)
        groups = [heapq.heappop(self._free) for _ in virtual]
        pairs = list(zip(virtual, groups, strict=True))
        try:
            self._source.commit(self._pieces(pairs))
        except BaseException:
            for group in groups:
                heapq.heappush(self._free, group)
            raise
        self._table.mapped.update(pairs)
        for group in groups:
            self._clear[group] = 1

    def unmap(self, runs: Sequence[Run]) -> None:
        """See Backend."""
        virtual = self._table.to_unmap(runs)
        self._source.uncommit(self._pieces([(one, self._table.mapped[one]) for one in virtual]))
        for one in virtual:
            heapq.heappush(self._free, self._table.mapped.pop(one))

    def cover(self, runs: Sequence[Run]) -> None:
        """See Coverable."""
        self._table.to_cover(runs)
        calls.cover([Piece(self.address + run.offset, 0, run.bytes) for run in runs])

    def close(self) -> None:
        """See Backend. InUseError while views are in use."""
        export = weakref.ref(self.buffer())
        self._export = None
        if (in_use := export()) is not None:
            self._export = in_use
            raise InUseError("vAttention's memory cannot be closed: tensors of it are in use")
        self._give_back()

    def abandon(self) -> None:
        """See Backend."""
        export, self._export = self._export, None
        if export is not None:
            weakref.finalize(export, self._give_back).atexit = False

    def _give_back(self) -> None:
        self._source.uncommit(self._pieces(sorted(self._table.mapped.items())))
        self._table.mapped.clear()
        calls.free(self.address, self._bytes)
        self._source.close()

    def _check_maps(self, rows: int) -> None:
        # At worst no two groups are joined, and there is a hole after every row.
        most, allowed = self._table.groups + 2 * rows + _OTHER_MAPS, calls.maps_max()
        if most > allowed:
            raise ConfigError(
                f"{self._table.groups} page groups of {self._group_bytes} bytes may take {most} "
                f"mappings, and the kernel allows a process {allowed}: take larger page groups, "
                "or raise sysctl vm.max_map_count"
            )

    def _pieces(self, pairs: Sequence[tuple[int, int]]) -> list[Piece]:
        return [
            Piece(
                self.address + virtual * self._group_bytes,
                self._source.first_place + group * self._group_bytes,
                count * self._group_bytes,
                is_dirty=not self._clear[group],
            )
            for virtual, group, count in self._joined(pairs)
        ]

    def _joined(self, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
        """Groups that follow each other on both sides, as one."""
        begin, count = (0, 0), 0
        for virtual, group in pairs:
            follows = (virtual, group) == (begin[0] + count, begin[1] + count)
            is_like = self._clear[group] == self._clear[begin[1]]
            if count and self._source.joins and follows and is_like:
                count += 1
                continue
            if count:
                yield *begin, count
            begin, count = (virtual, group), 1
        if count:
            yield *begin, count
