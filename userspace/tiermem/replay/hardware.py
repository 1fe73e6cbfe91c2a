"""The tracker device's configuration for a replayed machine."""

from __future__ import annotations

from tiermem.layer.tracker_config import (
    Algorithm,
    DeviceConfig,
    ListKind,
    TierRange,
    TrackerConfig,
)
from tiermem.m5.hotlist import PAGE_BYTES
from tiermem.m5.settings import SketchSettings, TrackerSettings
from tiermem.native._uapi import ffi

_ALGORITHMS = {"cm-sketch": Algorithm.CM_SKETCH, "space-saving": Algorithm.SPACE_SAVING}


def device_config(
    settings: TrackerSettings, lists: frozenset[ListKind], fast_frames: int, slow_frames: int
) -> bytes:
    """A struct tiermem_hw_config that tracks the slow frames with the trackers in `lists`."""
    base, size = fast_frames * PAGE_BYTES, slow_frames * PAGE_BYTES
    config = DeviceConfig(
        track_base=base,
        track_bytes=size,
        ranges=(TierRange(base, size, 1),),
        hpt=_tracker(settings.hpt, ListKind.HPT in lists),
        hwt=_tracker(settings.hwt, ListKind.HWT in lists),
    )
    return bytes(ffi.buffer(config.to_struct()))


def _tracker(settings: SketchSettings, enabled: bool) -> TrackerConfig:
    return TrackerConfig(
        enabled=enabled,
        algorithm=_ALGORITHMS[settings.algorithm],
        rows=settings.rows,
        columns=settings.columns,
        counter_bits=settings.counter_bits,
        entries=settings.entries,
    )
