"""The memory that a frontend and a backend share: made by one of them, then opened by both."""

from __future__ import annotations

from pydantic import Field

from tiermem.errors import NoSpaceError, TiermemError
from tiermem.layer.pool import Area
from tiermem.native._storage import ffi, lib
from tiermem.service.config import Settings

_TAGS_MAX: int = lib.STORAGE_TAGS_MAX
_BUFFER_BYTES_MAX: int = lib.STORAGE_BUFFER_BYTES_MAX


class LinkSize(Settings):
    """tags: commands in flight. block_bytes: of an LBA. buffer_bytes: what one command moves."""

    tags: int = Field(default=128, ge=1, le=_TAGS_MAX)
    block_bytes: int = Field(default=4096, ge=512, le=4096)
    buffer_bytes: int = Field(default=128 << 10, ge=4096, le=_BUFFER_BYTES_MAX)

    @property
    def bytes(self) -> int:
        """Of memory that such a link takes. TiermemError where there cannot be such a one."""
        taken = int(lib.storage_link_bytes(self.tags, self.block_bytes, self.buffer_bytes))
        if not taken:
            raise TiermemError(
                f"a link with blocks of {self.block_bytes} and buffers of {self.buffer_bytes} "
                f"bytes: a power of two, and a multiple of {lib.STORAGE_LINK_ALIGN}, are allowed"
            )
        return taken


def make_link(area: Area, size: LinkSize) -> None:
    """An empty link at the begin of an area, once in the area's life: its generation is the
    area's. NoSpaceError where it does not fit."""
    if size.bytes > area.bytes:
        raise NoSpaceError(f"a link takes {size.bytes} bytes, the area has {area.bytes}")
    lib.storage_link_format(
        ffi.cast("void *", area.address),
        size.tags,
        size.block_bytes,
        size.buffer_bytes,
        area.generation,
    )
