"""The pool's copies against memcpy: what is measured, on buffers that take no time."""

from __future__ import annotations

import pytest

from bench.pool_copy import CopySpeed, measure, share_of_memcpy

KIB = 1 << 10


def test_each_size_has_the_speed_of_each_way() -> None:
    sizes = (64 * KIB, 256 * KIB)
    speeds = measure(sizes, turns=3, turn_bytes=512 * KIB, buffer_bytes=1024 * KIB)
    assert tuple(speed.bytes for speed in speeds) == sizes
    # A byte takes less than a microsecond and more than a picosecond, whatever the machine.
    found = [
        x
        for s in speeds
        for x in (s.memcpy_bytes_per_s, s.stream_bytes_per_s, s.checked_bytes_per_s)
    ]
    assert all(1e6 < speed < 1e12 for speed in found)


def test_the_share_is_that_of_the_size_that_does_worst() -> None:
    speeds = [CopySpeed(1, 10.0, 0.0, 9.0), CopySpeed(2, 10.0, 0.0, 8.0)]
    assert share_of_memcpy(speeds) == pytest.approx(0.8)
