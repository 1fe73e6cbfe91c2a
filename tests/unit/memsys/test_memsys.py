"""Modelled time and traffic, picosecond by picosecond against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.errors import ConfigError
from tiermem.native.models import MemorySystem, memsys_defaults

from .reference import LOAD, STORE, STORE_LINE, Memory

BORDER = 1 << 24


def small(**changes: int) -> dict[str, int]:
    return {**memsys_defaults(), "llc_bytes": 65536, **changes}


def make(parameters: dict[str, int], nr_vcpus: int = 1) -> MemorySystem:
    memsys = MemorySystem(parameters, nr_vcpus)
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
    memsys, reference = make(small(**changes)), Memory(small(**changes), BORDER)
    memsys.run(addresses, kinds.astype(np.uint8), gap)
    for address, kind in zip(addresses.tolist(), kinds.tolist(), strict=True):
        reference.access(address, kind, gap)
    assert memsys.vcpu()["instructions"] == n * gap
    assert_equal(memsys, reference)


def assert_equal(memsys: MemorySystem, reference: Memory) -> None:
    assert memsys.now_ps() == reference.now_ps
    for number, expected in enumerate(reference.vcpus):
        vcpu = memsys.vcpu(number)
        assert vcpu["instructions"] == expected.instructions
        assert vcpu["stall_ps"] == expected.stall_ps
        assert vcpu["busy_ps"] == reference.busy_ps(number)
    for number, tier in enumerate(reference.tiers):
        traffic = memsys.tier(number)
        assert (traffic["reads"], traffic["writes"]) == (tier.reads, tier.writes)


def turns_of(name: str, n: int) -> np.ndarray:
    """Which of two vCPUs makes each of n accesses."""
    rng = np.random.default_rng(8)
    if name == "one by one":
        return np.arange(n) % 2
    if name == "at random":
        return rng.integers(0, 2, n)
    # Runs long enough for the other one to miss several windows.
    return (np.cumsum(rng.random(n) < 0.005) % 2).astype(np.int64)


@pytest.mark.parametrize("turns", ["one by one", "at random", "by turns"])
@pytest.mark.parametrize("gaps", [(20, 20), (20, 700)])
@pytest.mark.parametrize("pattern", ["random", "mixed"])
def test_two_vcpus_share_cache_bandwidth_and_windows(
    turns: str, gaps: tuple[int, int], pattern: str
) -> None:
    n = 4000
    parameters = small(tier1_bandwidth_MBps=900, tier0_bandwidth_MBps=2000)
    memsys, reference = make(parameters, nr_vcpus=2), Memory(parameters, BORDER, nr_vcpus=2)
    addresses = addresses_of(pattern, n).astype(np.uint64)
    kinds = np.random.default_rng(6).choice((LOAD, STORE, STORE_LINE), n, p=(0.7, 0.2, 0.1))
    closed = set()
    for i, vcpu in enumerate(turns_of(turns, n).tolist()):
        one = slice(i, i + 1)
        memsys.run(addresses[one], kinds[one].astype(np.uint8), gaps[vcpu], vcpu)
        reference.access(int(addresses[i]), int(kinds[i]), gaps[vcpu], vcpu)
        assert memsys.now_ps() == reference.now_ps
        closed.add(reference.closed_ps)
    assert_equal(memsys, reference)
    assert len(closed) > 10


def test_the_fastest_vcpu_ends_a_window_for_all() -> None:
    memsys = make(small(window_ns=1000), nr_vcpus=2)
    hit, read = np.array([0], dtype=np.uint64), np.zeros(1, dtype=np.uint8)
    memsys.run(hit, read, gap=3600, vcpu=0)  # 900 ns, and a fill
    memsys.run(hit, read, gap=2000, vcpu=1)  # 500 ns
    assert memsys.now_ps() == 900_000
    memsys.run(hit, read, gap=4000, vcpu=1)  # 1500 ns and a hit: the window is over
    assert memsys.now_ps() == 1_504_000
    memsys.run(hit, read, gap=400, vcpu=0)  # 100 ns and the fill, in the new one
    assert memsys.now_ps() == 1_504_000 + 200_000


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
