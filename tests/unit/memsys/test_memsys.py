"""Modelled time and traffic, picosecond by picosecond against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.errors import ConfigError
from tiermem.native.models import MemorySystem, memsys_defaults

from .reference import LOAD, STORE, STORE_LINE, Clock

BORDER = 1 << 24


def small(**changes: int) -> dict[str, int]:
    return {**memsys_defaults(), "llc_bytes": 65536, **changes}


def make(parameters: dict[str, int]) -> MemorySystem:
    memsys = MemorySystem(parameters)
    memsys.set_ranges([(BORDER, BORDER, 1)])
    return memsys


def addresses_of(name: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    if name == "random":
        return rng.integers(0, 2 * BORDER, n)
    if name == "sequential":
        return BORDER + np.arange(n) * 64
    backwards = BORDER + 4096 * 16 - 64 * (1 + np.arange(n) % 1024)
    return np.where(rng.random(n) < 0.5, backwards, rng.zipf(1.2, n) * 64 % (2 * BORDER))


@pytest.mark.parametrize("gap", [1, 60, 400])
@pytest.mark.parametrize("pattern", ["random", "sequential", "mixed"])
@pytest.mark.parametrize(
    "changes", [{}, {"tier1_bandwidth_MBps": 900}, {"stream_trigger": 1, "rob_instructions": 0}]
)
def test_time_and_traffic_equal_the_reference(
    pattern: str, gap: int, changes: dict[str, int]
) -> None:
    n = 4000
    addresses = addresses_of(pattern, n).astype(np.uint64)
    kinds = np.random.default_rng(6).choice((LOAD, STORE, STORE_LINE), n, p=(0.7, 0.2, 0.1))
    memsys, reference = make(small(**changes)), Clock(small(**changes), BORDER)
    memsys.run(addresses, kinds.astype(np.uint8), gap)
    for address, kind in zip(addresses.tolist(), kinds.tolist(), strict=True):
        reference.access(address, kind, gap)
    vcpu = memsys.vcpu()
    assert vcpu["instructions"] == n * gap
    assert vcpu["stall_ps"] == reference.stall_ps
    assert vcpu["busy_ps"] == reference.busy_ps
    for tier in (0, 1):
        assert memsys.tier(tier)["reads"] == reference.reads[tier]
        assert memsys.tier(tier)["writes"] == reference.writes[tier]


def test_time_and_llc_hits_add_up() -> None:
    memsys = make(small())
    addresses = np.full(100, 4096, dtype=np.uint64)
    fills, victims = memsys.run(addresses, np.zeros(100, dtype=np.uint8), gap=10)
    assert fills.tolist() == [4096]
    assert victims.size == 0
    vcpu = memsys.vcpu()
    assert vcpu["llc_hits"] == 99
    assert vcpu["stall_ps"] == 100_000 + 99 * 4000
    assert vcpu["busy_ps"] == vcpu["stall_ps"] + 1000 * 250


def test_a_busy_tier_gets_slower() -> None:
    rng = np.random.default_rng(1)
    addresses = rng.integers(BORDER, 2 * BORDER, 20_000).astype(np.uint64)
    reads = np.zeros(20_000, dtype=np.uint8)
    times = []
    for bandwidth in (30_000, 500):
        memsys = make(small(tier1_bandwidth_MBps=bandwidth))
        memsys.run(addresses, reads, gap=50)
        times.append(memsys.now_ps())
    assert times[1] > 1.2 * times[0]


@pytest.mark.parametrize(
    ("ranges", "reason"),
    [
        ([(0, 8192, 0), (4096, 4096, 1)], "overlap"),
        ([(0, 0, 1)], "empty"),
        ([(2**64 - 4096, 8192, 1)], "wraps"),
        ([(0, 4096, 2)], "no parameters"),
        ([(n << 20, 4096, 1) for n in range(5)], "more ranges"),
    ],
)
def test_wrong_ranges_leave_the_old_ones(ranges: list[tuple[int, int, int]], reason: str) -> None:
    memsys = make(small())
    with pytest.raises(ConfigError, match=reason):
        memsys.set_ranges(ranges)
    memsys.run(np.array([BORDER], dtype=np.uint64), np.zeros(1, dtype=np.uint8), gap=1)
    assert memsys.tier(1)["reads"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"no_such_thing": 1}, "no parameter 'no_such_thing'"),
        ({"llc_ways": 33}, "llc_ways = 33: 1..32 is allowed"),
        ({"llc_bytes": 1_000_000}, "memory system: "),
    ],
)
def test_wrong_parameters_are_named(changes: dict[str, int], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        MemorySystem({**memsys_defaults(), **changes})
