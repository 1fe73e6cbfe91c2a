"""What the tracker device is told: ranges of tiers, what to track, the trackers' shapes.

Mirrors struct tiermem_hw_config of kmod/uapi/tiermem_hpt_regs.h, field by field.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tiermem.errors import ConfigError, MissingError

try:
    from tiermem.native._uapi import ffi, lib
except ImportError as error:
    raise MissingError(
        "the native module _uapi is not built: run python3 userspace/tiermem/native/build.py"
    ) from error


class ListKind(enum.IntEnum):
    """What a list holds; enum tiermem_list_kind."""

    HPT = lib.TIERMEM_LIST_HPT
    HWT = lib.TIERMEM_LIST_HWT
    PAC = lib.TIERMEM_LIST_PAC
    WAC = lib.TIERMEM_LIST_WAC


class Algorithm(enum.IntEnum):
    """How a top-K tracker counts; enum tiermem_algorithm."""

    CM_SKETCH = lib.TIERMEM_ALG_CM_SKETCH
    SPACE_SAVING = lib.TIERMEM_ALG_SPACE_SAVING


def kinds_mask(kinds: Collection[ListKind]) -> int:
    """The bit mask that stands for `kinds`."""
    mask = 0
    for kind in kinds:
        mask |= 1 << kind
    return mask


@dataclass(frozen=True, slots=True)
class TierRange:
    """A physical range and the tier it belongs to (0 is the fastest)."""

    base: int
    bytes: int
    tier: int


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """One top-K tracker. Defaults are M5's: 4 rows of 32768 counters of 14 bits,
    25 entries. Both periods 0: a list is emitted only when asked for."""

    enabled: bool = True
    algorithm: Algorithm = Algorithm.CM_SKETCH
    rows: int = 4
    columns: int = 32768
    counter_bits: int = 14
    entries: int = 25
    period_reads: int = 0
    period_ns: int = 0


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """The whole device; taken or refused as a whole.

    exact: the exact counters (PAC, WAC) that are on. Only reads inside
    [track_base, track_base + track_bytes) are counted.
    """

    track_base: int
    track_bytes: int
    ranges: tuple[TierRange, ...] = ()
    exact: frozenset[ListKind] = frozenset()
    hpt: TrackerConfig = field(default_factory=TrackerConfig)
    hwt: TrackerConfig = field(default_factory=TrackerConfig)

    def to_struct(self) -> Any:
        """A new `struct tiermem_hw_config *`; ConfigError for what cannot be put into it."""
        if len(self.ranges) > lib.TIERMEM_RANGES_MAX:
            raise ConfigError(
                f"tracker device: {len(self.ranges)} ranges; at most"
                f" {lib.TIERMEM_RANGES_MAX} are allowed"
            )
        out = ffi.new("struct tiermem_hw_config *")
        try:
            for slot, tier_range in zip(out.ranges, self.ranges, strict=False):
                slot.base = tier_range.base
                slot.bytes = tier_range.bytes
                slot.tier = tier_range.tier
            out.nr_ranges = len(self.ranges)
            out.exact_enabled = kinds_mask(self.exact)
            out.track_base = self.track_base
            out.track_bytes = self.track_bytes
            _fill_tracker(out.hpt, self.hpt)
            _fill_tracker(out.hwt, self.hwt)
        except OverflowError as error:
            raise ConfigError(
                f"tracker device: a value is negative or too large: {error}"
            ) from None
        return out

    @classmethod
    def from_struct(cls, raw: Any) -> DeviceConfig:
        """The configuration in a `struct tiermem_hw_config *`."""
        ranges = [raw.ranges[i] for i in range(min(raw.nr_ranges, lib.TIERMEM_RANGES_MAX))]
        return cls(
            track_base=raw.track_base,
            track_bytes=raw.track_bytes,
            ranges=tuple(TierRange(r.base, r.bytes, r.tier) for r in ranges),
            exact=frozenset(kind for kind in ListKind if raw.exact_enabled >> kind & 1),
            hpt=_read_tracker(raw.hpt),
            hwt=_read_tracker(raw.hwt),
        )


def _fill_tracker(raw: Any, config: TrackerConfig) -> None:
    raw.enabled = config.enabled
    raw.algorithm = config.algorithm
    raw.rows = config.rows
    raw.columns = config.columns
    raw.counter_bits = config.counter_bits
    raw.entries = config.entries
    raw.period_reads = config.period_reads
    raw.period_ns = config.period_ns


def _read_tracker(raw: Any) -> TrackerConfig:
    return TrackerConfig(
        enabled=bool(raw.enabled),
        algorithm=Algorithm(raw.algorithm),
        rows=raw.rows,
        columns=raw.columns,
        counter_bits=raw.counter_bits,
        entries=raw.entries,
        period_reads=raw.period_reads,
        period_ns=raw.period_ns,
    )
