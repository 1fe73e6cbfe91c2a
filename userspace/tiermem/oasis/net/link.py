"""The memory that a frontend and a backend share: made by one of them, then opened by both."""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from tiermem.errors import NoSpaceError, TiermemError
from tiermem.native._net import ffi, lib
from tiermem.service.config import Settings

_SLOTS: int = lib.CHANNEL_SLOTS
_RING_BYTES_MIN: int = lib.NET_RING_BYTES_MIN
_RING_BYTES_MAX: int = lib.NET_RING_BYTES_MAX
_RING_BYTES: int = 4 << 20


class Memory(Protocol):
    """Shared memory that is mapped here, as an area of the pool is.

    It begins at a multiple of 4096.
    """

    @property
    def address(self) -> int:
        """Where it lies in this process."""

    @property
    def bytes(self) -> int:
        """How much of it there is."""


class LinkSize(Settings):
    """slots: of each channel, a power of two. tx_bytes, rx_bytes: of frames on their way."""

    slots: int = Field(default=_SLOTS, ge=8, le=1 << 20)
    tx_bytes: int = Field(default=_RING_BYTES, ge=_RING_BYTES_MIN, le=_RING_BYTES_MAX)
    rx_bytes: int = Field(default=_RING_BYTES, ge=_RING_BYTES_MIN, le=_RING_BYTES_MAX)

    @property
    def bytes(self) -> int:
        """Of memory that such a link takes. TiermemError where there cannot be such a one."""
        taken = int(lib.net_link_bytes(self.slots, self.tx_bytes, self.rx_bytes))
        if not taken:
            raise TiermemError(
                f"a link of {self.slots} slots and rings of {self.tx_bytes} and {self.rx_bytes} "
                f"bytes: slots must be a power of two, rings multiples of {lib.NET_LINK_ALIGN}"
            )
        return taken


def make_link(memory: Memory, size: LinkSize, generation: int) -> None:
    """An empty link at the begin of `memory`; neither side may have one open there.

    generation: a number that no link there had before (an area has one), so that a side
    which comes late does not take an old one for it. NoSpaceError where it does not fit.
    """
    if size.bytes > memory.bytes:
        raise NoSpaceError(f"a link takes {size.bytes} bytes, there are {memory.bytes}")
    base = ffi.cast("void *", memory.address)
    lib.net_link_format(base, size.slots, size.tx_bytes, size.rx_bytes, generation)
