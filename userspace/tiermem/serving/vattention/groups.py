"""Which page groups of a reservation have memory, and what memory: both backends' bookkeeping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from tiermem.errors import NoSpaceError, TiermemError
from tiermem.serving.vattention.layout import KvLayout, Run

Memory = TypeVar("Memory")


class GroupTable(Generic[Memory]):
    """`mapped`: by a group's number in the reservation, its memory. `groups`: the most."""

    def __init__(self, layout: KvLayout, groups: int) -> None:
        self.group_bytes = layout.group_bytes
        self.reserved_bytes = layout.reserved_bytes
        self.groups = groups
        self.mapped: dict[int, Memory] = {}

    @property
    def memory_bytes(self) -> int:
        """Of all groups."""
        return self.groups * self.group_bytes

    def to_map(self, runs: Sequence[Run]) -> list[int]:
        """The groups of runs that have no memory; NoSpaceError where there is too little."""
        wanted = self.to_cover(runs)
        if len(wanted) > (free := self.groups - len(self.mapped)):
            raise NoSpaceError(
                f"{len(wanted)} page groups are wanted, {free} of {self.groups} are free"
            )
        return wanted

    def to_unmap(self, runs: Sequence[Run]) -> list[int]:
        """The groups of runs that have memory."""
        groups = self._numbers(runs)
        if missing := set(groups) - self.mapped.keys():
            raise TiermemError(f"page group {min(missing)}: is not mapped")
        return groups

    def to_cover(self, runs: Sequence[Run]) -> list[int]:
        """The groups of runs that have no memory, and are not to have any."""
        groups = self._numbers(runs)
        if taken := self.mapped.keys() & set(groups):
            raise TiermemError(f"page group {min(taken)}: is mapped already")
        return groups

    def _numbers(self, runs: Sequence[Run]) -> list[int]:
        return [group for run in runs for group in self._numbers_of(run)]

    def _numbers_of(self, run: Run) -> range:
        if run.offset % self.group_bytes or run.bytes % self.group_bytes:
            raise TiermemError(f"{run}: is not of whole page groups of {self.group_bytes}")
        if run.offset < 0 or run.offset + run.bytes > self.reserved_bytes:
            raise TiermemError(f"{run}: is outside the {self.reserved_bytes} bytes reserved")
        first = run.offset // self.group_bytes
        return range(first, first + run.bytes // self.group_bytes)
