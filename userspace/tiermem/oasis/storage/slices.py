"""A device divided: what of it an instance has, and that nobody else has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tiermem.errors import TiermemError


@dataclass(frozen=True, slots=True)
class Slice:
    """`bytes` from `offset_bytes` on, both multiples of the device's blocks and the link's."""

    offset_bytes: int
    bytes: int
    is_read_only: bool = False

    def overlaps(self, other: Slice) -> bool:
        """Whether they have blocks in common."""
        return (
            self.offset_bytes < other.offset_bytes + other.bytes
            and other.offset_bytes < self.offset_bytes + self.bytes
        )

    def __str__(self) -> str:
        return f"bytes {self.offset_bytes} to {self.offset_bytes + self.bytes}"


def check_slice(wanted: Slice, taken: Iterable[Slice], device_bytes: int, block_bytes: int) -> None:
    """TiermemError unless it is on the device, in whole blocks, and has blocks in common with
    others only where none of them can write."""
    if wanted.bytes <= 0 or wanted.offset_bytes < 0:
        raise TiermemError(f"a slice of {wanted}: it must begin at 0 or later and not be empty")
    if wanted.offset_bytes % block_bytes or wanted.bytes % block_bytes:
        raise TiermemError(f"a slice of {wanted}: multiples of {block_bytes} are allowed")
    if wanted.offset_bytes + wanted.bytes > device_bytes:
        raise TiermemError(f"a slice of {wanted}: the device has {device_bytes} bytes")
    for other in taken:
        if wanted.overlaps(other) and not (wanted.is_read_only and other.is_read_only):
            raise TiermemError(f"a slice of {wanted}: another one has {other}")
