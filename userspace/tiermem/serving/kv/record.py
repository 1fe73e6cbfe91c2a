"""How a block lies in a tier: a header and its pieces, the same in memory and on SSD.

A record is a whole number of pages, so that direct I/O moves it between the two without
another copy. It counts only where its header's checksum, its key and the checksum of every
piece are right: what was written in part, in whatever order, is no block.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tiermem.errors import ConfigError
from tiermem.native._kv import ffi
from tiermem.native._pool import ffi as pool_ffi
from tiermem.native._pool import lib as pool_lib
from tiermem.serving.kv.keys import KEY_BYTES

PAGE_BYTES = 4096
_MAGIC = b"tiermKV1"
_PIECES_MAX = 1 << 14
# Magic, checksum of what follows, number of pieces, sequence number, key; then the sums.
_HEAD = struct.Struct(f"<8sIIQ{KEY_BYTES}s")
_SUMMED_FROM = 12


def checksum(data: bytes | bytearray | memoryview) -> int:
    """CRC-32C."""
    return int(pool_lib.pool_checksum(0, pool_ffi.from_buffer(data), len(data)))


def pages_bytes(size_bytes: int) -> int:
    """Rounded up to whole pages."""
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


@dataclass(frozen=True, slots=True)
class RecordShape:
    """Of all blocks of one engine: `pieces` of `piece_bytes` each."""

    pieces: int
    piece_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.pieces <= _PIECES_MAX or self.piece_bytes < 1:
            raise ConfigError(
                f"a KV block of {self.pieces} pieces of {self.piece_bytes} bytes: 1 to "
                f"{_PIECES_MAX} pieces of at least a byte are possible"
            )

    @property
    def header_bytes(self) -> int:
        """Before the pieces, padding included."""
        return pages_bytes(_HEAD.size + 4 * self.pieces)

    @property
    def payload_bytes(self) -> int:
        """All pieces."""
        return self.pieces * self.piece_bytes

    @property
    def bytes(self) -> int:
        """A whole record."""
        return self.header_bytes + pages_bytes(self.payload_bytes)


@dataclass(frozen=True, slots=True)
class Header:
    """What a record says of itself. sequence: of two records of one key, the later counts."""

    key: bytes
    sequence: int
    sums: tuple[int, ...]


def pack_header(header: Header) -> bytes:
    """As it begins the record."""
    head = _HEAD.pack(_MAGIC, 0, len(header.sums), header.sequence, header.key)
    body = bytearray(head + struct.pack(f"<{len(header.sums)}I", *header.sums))
    struct.pack_into("<I", body, 8, checksum(body[_SUMMED_FROM:]))
    return bytes(body)


def read_header(data: bytes | memoryview, shape: RecordShape) -> Header | None:
    """None where these are not the first bytes of such a record."""
    if len(data) < _HEAD.size + 4 * shape.pieces:
        return None
    magic, crc, pieces, sequence, key = _HEAD.unpack_from(data)
    if magic != _MAGIC or pieces != shape.pieces:
        return None
    end = _HEAD.size + 4 * pieces
    if checksum(bytes(data[_SUMMED_FROM:end])) != crc:
        return None
    return Header(key, sequence, struct.unpack_from(f"<{pieces}I", data, _HEAD.size))


def memory_at(address: int, size_bytes: int) -> memoryview:
    """Bytes of this process by address; whoever owns them has to outlive the view."""
    return memoryview(ffi.buffer(ffi.cast("uint8_t *", address), size_bytes))
