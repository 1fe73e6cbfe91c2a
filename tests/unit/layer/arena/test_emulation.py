"""Emulated tiers: copies take what the stated figures say; never less, and little more.

The machine may be busy, so each of as many tries as it takes must be slow enough, and one near.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from tiermem.errors import TiermemError
from tiermem.layer.arena import Emulation, list_arenas

from tests.unit.layer.arena.conftest import MIB, Maker

PATIENCE_S = 20
NEAR = 1.04


def best_s(work: Callable[[], None], stated_s: float) -> float:
    """The first try that is near, or the shortest; none may be faster than stated."""
    taken = list[float]()
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
        assert taken[-1] >= stated_s, f"faster than stated: {taken[-1] / stated_s:.4f}"
        if taken[-1] < stated_s * NEAR:
            break
    return min(taken)


@pytest.mark.parametrize(
    ("bandwidth", "latency", "size"),
    [(100_000_000, 0, 2 * MIB), (500_000_000, 0, 8 * MIB), (200_000_000, 2_000_000, MIB)],
)
def test_copies_are_as_fast_as_stated(make: Maker, bandwidth: int, latency: int, size: int) -> None:
    buffer = make(size, emulation=Emulation(bandwidth, latency)).allocate(size)
    data = np.ones(size, dtype=np.uint8)
    stated_s = size / bandwidth + latency / 1e9
    assert best_s(lambda: buffer.copy_in(data), stated_s) < stated_s * NEAR
    assert best_s(lambda: buffer.copy_out(data), stated_s) < stated_s * NEAR


@pytest.mark.parametrize("size", [1, 4095, 4097, 3 * 4096 + 70])
def test_nothing_is_lost_between_the_pieces_of_a_copy(make: Maker, size: int) -> None:
    """At 8 MB/s a piece is 4096 bytes."""
    buffer = make(MIB, emulation=Emulation(8_000_000, 0)).allocate(size + 2)
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    buffer.view()[:] = bytes([170]) * buffer.bytes
    buffer.copy_in(data, 1)
    assert bytes(buffer.view()) == b"\xaa" + data.tobytes() + b"\xaa"
    out = np.empty_like(data)
    buffer.copy_out(out, 1)
    assert (out == data).all()


def test_each_copy_has_the_latency(make: Maker) -> None:
    buffer = make(emulation=Emulation(10**10, 3_000_000)).allocate(64)
    assert best_s(lambda: buffer.copy_in(b"x"), 0.003) < 0.003 * NEAR


def test_copies_at_once_share_the_bandwidth(make: Maker) -> None:
    """Four of them take as long as one of four times the size, and end at about one time."""
    arena = make(4 * MIB, emulation=Emulation(50_000_000, 0))
    buffers = [arena.allocate(MIB) for _ in range(4)]
    stated_s = 4 * MIB / 50_000_000
    first_ends: list[float] = []

    def work() -> None:
        gate, begin, ended = threading.Barrier(4), time.perf_counter(), list[float]()

        def copy(one: int) -> None:
            gate.wait()
            buffers[one].copy_in(bytes(MIB))
            ended.append(time.perf_counter() - begin)

        threads = [threading.Thread(target=copy, args=(one,)) for one in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        first_ends.append(min(ended))

    assert best_s(work, stated_s) < stated_s * NEAR
    assert max(first_ends) > 0.8 * stated_s, "each had a quarter of the bandwidth"


def test_others_run_while_a_copy_waits(make: Maker) -> None:
    buffer = make(MIB, emulation=Emulation(1_000_000, 0)).allocate(MIB)
    copying = threading.Thread(target=buffer.copy_in, args=(bytes(MIB),))
    turns = 0
    copying.start()
    while copying.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 10


def test_time_that_nobody_used_is_not_saved_up(make: Maker) -> None:
    buffer = make(MIB, emulation=Emulation(100_000_000, 0)).allocate(MIB)
    data, stated_s = bytes(MIB), MIB / 100_000_000
    buffer.copy_in(data)
    time.sleep(2 * stated_s)
    assert best_s(lambda: buffer.copy_in(data), stated_s) < 2 * stated_s


def test_between_two_the_slower_counts_and_both_latencies(make: Maker) -> None:
    slow = make(MIB, emulation=Emulation(50_000_000, 2_000_000)).allocate(MIB)
    fast = make(MIB, emulation=Emulation(500_000_000, 1_000_000)).allocate(MIB)
    stated_s = MIB / 50_000_000 + 0.003
    assert best_s(lambda: fast.copy_in(slow), stated_s) < stated_s * NEAR
    assert best_s(lambda: fast.copy_out(slow), stated_s) < stated_s * NEAR


def test_direct_access_is_not_slowed(make: Maker) -> None:
    array = make(2 * MIB, emulation=Emulation(1_000_000, 0)).allocate(2 * MIB).numpy()
    begin = time.perf_counter()
    array[:] = 1
    assert time.perf_counter() - begin < 1, "two seconds by copy_in"


def test_it_is_called_emulated_wherever_it_is_named(make: Maker, run_dir: object) -> None:
    arena = make(emulation=Emulation(30_000_000_000, 250))
    assert "emulated 30 GB/s 250 ns on" in repr(arena)
    assert "emulated 30 GB/s 250 ns on" in repr(arena.allocate(64))
    (listed,) = list_arenas(run_dir)  # type: ignore[arg-type]
    assert listed.description.emulated is not None
    assert listed.description.where.startswith("emulated")
    assert "emulated" not in repr(make())


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ((0, 1), "bandwidth_Bps = 0: must be from"),
        ((10**14, 1), "bandwidth_Bps = 100000000000000: must be"),
        ((10**9, -1), "latency_ns = -1: must be from 0"),
        ((10**9, 10**10), "latency_ns = 10000000000: must be"),
    ],
)
def test_figures_that_make_no_sense(figures: tuple[int, int], says: str) -> None:
    with pytest.raises(TiermemError, match=says):
        Emulation(*figures)
