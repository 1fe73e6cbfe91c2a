"""What the allocator needs of memory: groups that appear in a reservation and vanish from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tiermem.errors import TiermemError
from tiermem.serving.vattention.layout import KvLayout, Run


class InUseError(TiermemError):
    """Somebody has a tensor of the memory yet."""


class Backend(Protocol):
    """A reservation of addresses, and page groups of memory that can be mapped into it.

    Runs are whole groups. What is mapped reads as zeros, or as KV that was there before:
    never as what somebody else left. Calls come from one thread at a time.
    """

    @property
    def address(self) -> int:
        """Where the reservation begins."""

    @property
    def memory_bytes(self) -> int:
        """The most that can be mapped at a time."""

    def map(self, runs: Sequence[Run]) -> None:
        """Give all of them memory, or none: KernelError, NoSpaceError."""

    def unmap(self, runs: Sequence[Run]) -> None:
        """Take their memory; nobody can touch them any more."""

    def close(self) -> None:
        """End of the reservation, whatever is mapped. InUseError: nothing has changed."""

    def abandon(self) -> None:
        """The same, when nobody has a tensor of it any more, as far as that can be known."""


@runtime_checkable
class Coverable(Protocol):
    """A backend that can make addresses without memory readable."""

    def cover(self, runs: Sequence[Run]) -> None:
        """They read as zeros and take no memory, until something is mapped there."""


class BlockMapper:
    """A backend in the allocator's terms: blocks of a reqId."""

    def __init__(self, layout: KvLayout, backend: Backend) -> None:
        self._layout, self._backend = layout, backend

    def map(self, req_id: int, first: int, blocks: int) -> None:
        """See Mapper."""
        self._backend.map(self._layout.runs(req_id, first, blocks))

    def unmap(self, req_id: int, first: int, blocks: int) -> None:
        """See Mapper."""
        self._backend.unmap(self._layout.runs(req_id, first, blocks))

    def cover(self, req_id: int, first: int, blocks: int) -> None:
        """See Mapper."""
        if not isinstance(self._backend, Coverable):
            raise TiermemError(
                f"{type(self._backend).__name__}: what is not mapped cannot be read here: give "
                "the attention kernel each request's length"
            )
        self._backend.cover(self._layout.runs(req_id, first, blocks))
