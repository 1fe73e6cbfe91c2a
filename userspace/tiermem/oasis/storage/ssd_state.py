"""What an SSD's thread says of the SSD to those who ask, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.oasis.storage.backend import BackendCounters
from tiermem.oasis.storage.slice_table import OwnedSlice, Owner

ZERO = BackendCounters(0, 0, 0, 0)


def plus(one: BackendCounters, other: BackendCounters) -> BackendCounters:
    """Their sum, each by itself."""
    return BackendCounters(
        one.completed + other.completed,
        one.failed + other.failed,
        one.refused + other.refused,
        one.completions_lost + other.completions_lost,
    )


@dataclass(frozen=True, slots=True)
class SsdState:
    """As the SSD's thread saw it last. serving: whose slices can be reached now."""

    is_open: bool = False
    bytes: int = 0
    room_bytes: int = 0
    slices: tuple[OwnedSlice, ...] = ()
    serving: frozenset[Owner] = frozenset()
    counters: BackendCounters = ZERO
    refused_claims: int = 0
