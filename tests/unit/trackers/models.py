"""The C trackers behind the shapes that the tests speak in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from hypothesis import settings
from tiermem.layer.tracker_config import Algorithm, DeviceConfig, TrackerConfig
from tiermem.native._models import ffi, lib
from tiermem.native._uapi import ffi as uapi
from tiermem.native.models import Trackers

CHECKOUT = Path(__file__).resolve().parents[3]
BASE = 0x39_0000_0000
BYTES = 64 << 20
OFF = TrackerConfig(enabled=False)

few_examples = settings(max_examples=25)
"""An example asks the C hundreds of times; a few of them are plenty."""


def raw_config(config: DeviceConfig) -> bytes:
    return bytes(uapi.buffer(config.to_struct()))


def make_trackers(
    *,
    hpt: TrackerConfig = OFF,
    hwt: TrackerConfig = OFF,
    exact: Iterable[int] = (),
    base: int = BASE,
    size: int = BYTES,
    seed: int = 1,
) -> Trackers:
    trackers = Trackers(seed)
    trackers.configure(
        raw_config(
            DeviceConfig(
                track_base=base, track_bytes=size, exact=frozenset(exact), hpt=hpt, hwt=hwt
            )
        )
    )
    return trackers


def h3_columns(rows: int, columns: int, seed: int, keys: list[int]) -> list[list[int]]:
    h3 = ffi.gc(lib.tm_h3_create(rows, columns, seed), lib.tm_h3_destroy)
    out = ffi.new("uint32_t[]", rows)
    hashed = []
    for key in keys:
        lib.tm_h3_hash(h3, key, out)
        hashed.append(list(out))
    return hashed


class CSketch:
    def __init__(self, rows: int, columns: int, counter_bits: int, seed: int) -> None:
        created = lib.tm_sketch_create(rows, columns, counter_bits, seed)
        self.raw = ffi.gc(created, lib.tm_sketch_destroy)

    def add(self, key: int) -> int:
        return int(lib.tm_sketch_add(self.raw, key))

    def add_many(self, keys: list[int]) -> list[int]:
        estimates = ffi.new("uint32_t[]", len(keys))
        lib.tm_sketch_add_many(self.raw, keys, len(keys), estimates)
        return list(estimates)

    def estimate(self, key: int) -> int:
        return int(lib.tm_sketch_estimate(self.raw, key))

    def clear(self) -> None:
        lib.tm_sketch_clear(self.raw)


class CTopK:
    def __init__(self, config: TrackerConfig, seed: int = 1) -> None:
        raw = ffi.new("struct tiermem_tracker_config *")
        raw.enabled, raw.algorithm = 1, int(config.algorithm)
        raw.rows, raw.columns = config.rows, config.columns
        raw.counter_bits, raw.entries = config.counter_bits, config.entries
        self.entries = config.entries
        self.raw = ffi.gc(lib.tm_topk_create(raw, seed), lib.tm_topk_destroy)

    def add(self, keys: Iterable[int]) -> None:
        for key in keys:
            lib.tm_topk_add(self.raw, key)

    def add_many(self, keys: list[int]) -> None:
        for start in range(0, len(keys), lib.TM_BATCH_MAX):
            batch = keys[start : start + lib.TM_BATCH_MAX]
            lib.tm_topk_add_many(self.raw, batch, len(batch))

    def list(self, most: int | None = None) -> list[tuple[int, int]]:
        room = self.entries if most is None else most
        keys, counts = ffi.new("uint64_t[]", room), ffi.new("uint32_t[]", room)
        n = lib.tm_topk_list(self.raw, room, keys, counts)
        return list(zip(keys[0:n], counts[0:n], strict=True))

    def clear(self) -> None:
        lib.tm_topk_clear(self.raw)


def sketch_config(entries: int = 25, counter_bits: int = 14, columns: int = 512) -> TrackerConfig:
    return TrackerConfig(entries=entries, counter_bits=counter_bits, columns=columns)


def space_saving_config(entries: int = 50, counter_bits: int = 32) -> TrackerConfig:
    return TrackerConfig(
        algorithm=Algorithm.SPACE_SAVING, entries=entries, counter_bits=counter_bits
    )


def true_counts(keys: Iterable[int]) -> dict[int, int]:
    values, counts = np.unique(np.fromiter(keys, dtype=np.uint64), return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
