"""A configuration is taken as a whole, or refused as a whole with the reason."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from tiermem.errors import ConfigError
from tiermem.layer.tracker_config import (
    Algorithm,
    DeviceConfig,
    ListKind,
    TierRange,
    TrackerConfig,
)
from tiermem.native._models import ffi, lib
from tiermem.native._uapi import ffi as uapi
from tiermem.native.models import Trackers

from .models import BASE, BYTES, OFF, make_trackers, raw_config

GOOD = DeviceConfig(track_base=BASE, track_bytes=BYTES, hpt=TrackerConfig(), hwt=TrackerConfig())


def wrong_tracker(**fields: int) -> DeviceConfig:
    return replace(GOOD, hwt=replace(GOOD.hwt, **fields))


WRONG = {
    "columns: a power of two": wrong_tracker(columns=1000),
    "columns:": wrong_tracker(columns=8),
    "rows: 1": wrong_tracker(rows=0),
    "rows: 1..16": wrong_tracker(rows=17),
    "rows x columns": wrong_tracker(rows=16, columns=1 << 24),
    "counter_bits: 1..32": wrong_tracker(counter_bits=33),
    "counter_bits:": wrong_tracker(counter_bits=0),
    "entries: 1..4096": wrong_tracker(entries=4097),
    "entries:": wrong_tracker(entries=0),
    "track_bytes: at most": replace(GOOD, track_bytes=1 << 41),
    "track_base, track_bytes": replace(GOOD, track_base=BASE + 64),
    "no wrap": replace(GOOD, track_base=2**64 - 4096, track_bytes=8192),
    "must not overlap": replace(GOOD, ranges=(TierRange(0, 8192, 0), TierRange(4096, 8192, 1))),
    "tier is 0..3": replace(GOOD, ranges=(TierRange(0, 8192, 4),)),
    "bytes above 0": replace(GOOD, ranges=(TierRange(0, 0, 1),)),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_configuration_changes_nothing(reason: str) -> None:
    config = TrackerConfig(columns=1024, entries=4)
    trackers = make_trackers(hpt=config, exact=[ListKind.PAC])
    addresses = np.array([BASE, BASE, BASE + 4096], dtype=np.uint64)
    trackers.read_many(addresses, now_ns=0)
    before = trackers.emit(ListKind.HPT, keep=True).entries.tolist()
    with pytest.raises(ConfigError, match=reason.replace(".", r"\.")):
        trackers.configure(raw_config(WRONG[reason]))
    assert trackers.kinds() == 1 << ListKind.HPT | 1 << ListKind.PAC
    assert trackers.counters()["reads_tracked"] == 3
    assert trackers.emit(ListKind.HPT).entries.tolist() == before == [(BASE, 2), (BASE + 4096, 1)]
    assert trackers.exact_counts(ListKind.PAC, 0, 2).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("nr_ranges", 5, "nr_ranges"),
        ("exact_enabled", 1, "exact_enabled"),
        ("exact_enabled", 1 << 4, "exact_enabled"),
    ],
)
def test_fields_that_only_a_guest_could_get_wrong(field: str, value: int, reason: str) -> None:
    raw = GOOD.to_struct()
    setattr(raw, field, value)
    with pytest.raises(ConfigError, match=reason):
        Trackers(1).configure(bytes(uapi.buffer(raw)))


@pytest.mark.parametrize(("field", "value"), [("algorithm", 2), ("enabled", 2)])
def test_tracker_fields_that_only_a_guest_could_get_wrong(field: str, value: int) -> None:
    raw = GOOD.to_struct()
    setattr(raw.hpt, field, value)
    with pytest.raises(ConfigError, match=field):
        Trackers(1).configure(bytes(uapi.buffer(raw)))


def test_fields_of_a_disabled_tracker_do_not_matter() -> None:
    trackers = make_trackers(hpt=replace(OFF, rows=0, columns=3, entries=0))
    assert trackers.kinds() == 0


def test_space_saving_needs_no_sketch_shape() -> None:
    shape = TrackerConfig(algorithm=Algorithm.SPACE_SAVING, rows=0, columns=0, entries=50)
    assert make_trackers(hpt=shape).kinds() == 1 << ListKind.HPT


def test_a_new_configuration_starts_from_nothing() -> None:
    trackers = make_trackers(hpt=TrackerConfig(), exact=[ListKind.PAC])
    trackers.access(BASE, False, 0)
    trackers.configure(raw_config(replace(GOOD, exact=frozenset({ListKind.PAC}))), now_ns=0)
    assert trackers.counters()["reads_tracked"] == 0
    assert trackers.emit(ListKind.HPT).entries.size == 0
    assert trackers.emit(ListKind.PAC).entries.size == 0


def test_defaults_are_the_artifacts_parameters_and_valid() -> None:
    raw = ffi.new("struct tiermem_hw_config *")
    lib.tm_config_defaults(raw)
    assert lib.tm_config_check(raw) == ffi.NULL
    for tracker in (raw.hpt, raw.hwt):
        shape = (tracker.rows, tracker.columns, tracker.counter_bits, tracker.entries)
        assert shape == (4, 32768, 14, 25)
        assert {name: getattr(tracker, name) for name in asdict(TrackerConfig())} == asdict(
            TrackerConfig()
        )
    lib.tm_config_space_saving(ffi.addressof(raw, "hwt"))
    assert lib.tm_config_check(raw) == ffi.NULL
    assert raw.hwt.entries == 50
