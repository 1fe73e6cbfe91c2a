"""The device's configuration as user space writes it, against the C structure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import ConfigError
from tiermem.layer.tracker_config import (
    Algorithm,
    DeviceConfig,
    ListKind,
    TierRange,
    TrackerConfig,
    kinds_mask,
)

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)

trackers = st.builds(
    TrackerConfig,
    enabled=st.booleans(),
    algorithm=st.sampled_from(Algorithm),
    rows=U32,
    columns=U32,
    counter_bits=U32,
    entries=U32,
    period_reads=U64,
    period_ns=U64,
)
configs = st.builds(
    DeviceConfig,
    track_base=U64,
    track_bytes=U64,
    ranges=st.lists(st.builds(TierRange, base=U64, bytes=U64, tier=U32), max_size=4).map(tuple),
    exact=st.frozensets(st.sampled_from([ListKind.PAC, ListKind.WAC])),
    hpt=trackers,
    hwt=trackers,
)


@given(configs)
def test_every_field_survives_the_way_through_the_structure(config: DeviceConfig) -> None:
    assert DeviceConfig.from_struct(config.to_struct()) == config


def test_the_defaults_are_those_of_m5() -> None:
    raw = DeviceConfig(track_base=0, track_bytes=4096).to_struct()
    for tracker in (raw.hpt, raw.hwt):
        shape = (tracker.rows, tracker.columns, tracker.counter_bits, tracker.entries)
        assert shape == (4, 32768, 14, 25)


def test_too_many_ranges_are_refused_before_anything_is_cut_off() -> None:
    ranges = tuple(TierRange(base=n << 30, bytes=1 << 30, tier=1) for n in range(5))
    with pytest.raises(ConfigError, match="5 ranges; at most 4"):
        DeviceConfig(track_base=0, track_bytes=1, ranges=ranges).to_struct()


@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_value_that_does_not_fit_its_field_is_refused(value: int) -> None:
    with pytest.raises(ConfigError, match="negative or too large"):
        DeviceConfig(track_base=value, track_bytes=1).to_struct()


def test_a_mask_has_one_bit_a_kind() -> None:
    assert kinds_mask([]) == 0
    assert kinds_mask([ListKind.HPT, ListKind.WAC]) == 0b1001
    assert kinds_mask(list(ListKind)) == 0b1111
