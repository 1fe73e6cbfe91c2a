"""CXL memory below a smaller memory: what would go next is there before it goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import NoSpaceError
from tiermem.layer.arena import Emulation
from tiermem.serving.kv.eviction import PolicyName
from tiermem.serving.kv.record import memory_at
from tiermem.serving.kv.region import ArenaRegion
from tiermem.serving.kv.store import Fill, KvStore

from tests.unit.serving.kv.tiers import (
    IDENTITY,
    SHAPE,
    arena_region,
    content,
    fill,
    key,
    put,
    read_block,
    region,
)
from tests.unit.serving.kv.toy_engine import SHAPE as TOY_SHAPE
from tests.unit.serving.kv.toy_engine import ToyEngine, keys_of, said

Opener = Callable[..., tuple[KvStore, ArenaRegion]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A store of four blocks in memory, and CXL memory below it."""
    with ExitStack() as stack:

        def open_it(blocks: int = 8, emulation: Emulation | None = None, **more: Any) -> Any:
            size = blocks * SHAPE.bytes
            below = stack.enter_context(arena_region(tmp_path, size, emulation))
            store = KvStore(region(4), SHAPE, 32, IDENTITY, cxl=below, **more)
            stack.callback(store.close)
            return store, below

        yield open_it


@contextmanager
def toy_engine(
    folder: Path,
    blocks: int,
    below_blocks: int,
    emulation: Emulation | None = None,
    **more: Any,
) -> Iterator[tuple[ToyEngine, ArenaRegion]]:
    """One with so many blocks in memory, and CXL memory below it."""
    with arena_region(folder, below_blocks * TOY_SHAPE.bytes, emulation) as below:
        engine = ToyEngine(folder / "kv", blocks, cxl=below, **more)
        yield engine, below
        engine.steps.close()
        engine.store.close()


def put_slowly(store: KvStore, numbers: range) -> None:
    """So that all that is done behind memory is done after each."""
    for number in numbers:
        put(store, [number])
        assert store.flush(60)


def test_what_left_memory_is_found_below_and_both_hold_more_than_one(opened: Opener) -> None:
    store, _ = opened()
    put_slowly(store, range(10))
    near, behind = store.look_up([key(number) for number in range(12)])
    assert (near, behind) == ({"cxl": 6, "memory": 4}, {})
    for number in range(10):
        assert read_block(store, number) == content(number).tobytes()
    assert store.counters.get("memory", "lost") == 0
    # The two that go next are in both.
    assert store.fills()["cxl"] == Fill(8 * SHAPE.bytes, 8 * SHAPE.bytes)


@pytest.mark.parametrize("eviction", ["fifo", "lru", "arc", "cost"])
def test_under_every_policy_nothing_is_lost_before_both_are_full(
    opened: Opener, eviction: PolicyName
) -> None:
    store, _ = opened(blocks=8, eviction=eviction)
    put_slowly(store, range(10))
    assert all(read_block(store, number) for number in range(10))
    assert store.counters.get("cxl", "evicted") == 0


def test_more_is_copied_ahead_where_steps_make_much(opened: Opener) -> None:
    """The first of them finds room; of all that follow nothing is lost."""
    store, _ = opened(blocks=20)
    for first in range(0, 15, 3):
        blocks = [store.near.reserve(key(number), number) for number in range(first, first + 3)]
        for number, block in enumerate(blocks, first):
            assert block is not None
            fill(store.memory, block, number)
        store.saved([block for block in blocks if block])
        assert store.flush(60)
    assert all(read_block(store, number) for number in range(15))


def test_it_looks_what_is_next_once_for_several_blocks_that_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 64 blocks of memory it copies 8 ahead; after each third one it looks again."""
    store = KvStore(region(64), SHAPE, 32, IDENTITY, cxl=region(200))
    looks: list[int] = []
    plain = store.memory.coming

    def coming(count: int) -> list[bytes]:
        looks.append(count)
        return plain(count)

    monkeypatch.setattr(store.memory, "coming", coming)
    put(store, range(160))
    assert store.flush(60)
    assert 1 <= len(looks) <= 160 // 3 + 1
    assert max(looks) <= 64 // 8 + 64 // 8 // 4
    assert store.look_up([key(159)]) == ({"memory": 1}, {})
    store.close()


def test_what_is_used_stays_in_memory(tmp_path: Path) -> None:
    """Of ten chats one goes on and on."""
    with toy_engine(tmp_path, 9, 36) as (engine, _):
        for number in range(10):
            engine.run(f"other{number}", said(number + 1), [0, 1, 2, 3])
            engine.run(f"hot{number}", said(0), [4, 5, 6, 7])
            assert engine.store.flush(60)
        assert engine.store.counters.get("memory", "restored") == 27
        assert engine.store.counters.get("cxl", "restored") == 0
        assert engine.store.counters.get("memory", "lost") == 0
        assert engine.store.look_up(keys_of(said(0))) == ({"memory": 3}, {})


def test_chats_in_turn_lose_nothing_where_there_is_nothing_behind(tmp_path: Path) -> None:
    """What one takes from the front by using it leaves others there."""
    with toy_engine(tmp_path, 9, 60, disk_blocks=1) as (engine, _):
        for turn in range(1, 5):
            for chat in range(4):
                engine.run(f"{turn}.{chat}", said(chat, 32 * turn + 1), [0, 1, 2, 3])
                assert engine.store.flush(60)
        counters = engine.store.counters
        assert counters.get("memory", "lost") <= 2, "before it was known how much is used"
        assert counters.get("memory", "evicted") >= 7
        for chat in range(4):
            found, _ = engine.store.look_up(keys_of(said(chat, 129)))
            assert sum(found.values()) >= 3


def test_a_small_cxl_memory_is_not_written_over_and_over(opened: Opener) -> None:
    store, _ = opened(blocks=2)
    put_slowly(store, range(8))
    stored = store.counters.get("cxl", "stored")
    assert stored <= 8
    for _ in range(5):
        store.restored([block for block in [store.near.pin(key(7))] if block])
        assert store.flush(60)
    assert store.counters.get("cxl", "stored") <= stored + 1


def test_what_is_used_in_memory_is_kept_below_as_well(opened: Opener) -> None:
    store, _ = opened(blocks=4)
    put_slowly(store, range(6))
    assert store.cxl is not None
    both = [number for number in range(6) if store.memory.has(key(number))]
    both = [number for number in both if store.cxl.has(key(number))]
    used = store.near.pin_prefix([key(both[0])])
    store.near.unpin(used)
    for number in range(100, 103):
        block = store.cxl.reserve(key(number), 0)
        assert block is not None
        fill(store.cxl, block, number)
        store.near.unpin([block])
    assert store.cxl.has(key(both[0]))


def test_what_is_in_cxl_memory_is_not_saved_again(opened: Opener) -> None:
    store, _ = opened()
    put_slowly(store, range(8))
    assert not store.memory.has(key(0))
    assert store.near.reserve(key(0), 0, is_computed=False) is None


def test_what_was_computed_though_it_is_in_cxl_memory_is_saved_again(opened: Opener) -> None:
    """What is there may be damaged, or too slow to restore."""
    store, _ = opened()
    put_slowly(store, range(8))
    put(store, [0])
    assert store.memory.has(key(0))


def test_it_comes_before_ssd_which_has_what_it_has_not(opened: Opener, tmp_path: Path) -> None:
    store, _ = opened(blocks=3, ssd=(tmp_path / "kv", 1 << 20))
    put_slowly(store, range(9))
    near, behind = store.look_up([key(number) for number in (4, 2, 0, 8)])
    assert (near, behind) == ({"cxl": 1}, {"ssd": 2, "memory": 1})


def test_what_ssd_brings_comes_to_the_larger_memory(opened: Opener, tmp_path: Path) -> None:
    """Those of the smaller one stay."""
    store, _ = opened(blocks=5, ssd=(tmp_path / "kv", 1 << 20))
    put_slowly(store, range(12))
    in_memory = [number for number in range(12) if store.memory.has(key(number))]
    staging = store.stage([key(0), key(1)])
    assert staging.wait(60)
    assert staging.sources == {key(0): "ssd", key(1): "ssd"}
    assert store.look_up([key(0), key(1)]) == ({"cxl": 2}, {})
    assert read_block(store, 1) == content(1).tobytes()
    store.release(staging)
    assert in_memory == [number for number in range(12) if store.memory.has(key(number))]


def test_what_ssd_brings_into_an_emulated_memory_takes_that_its_time(
    opened: Opener, tmp_path: Path
) -> None:
    """As copies do, though the device writes there by itself."""
    rate_Bps = 2 * 10**6  # noqa: N806
    store, _ = opened(blocks=5, emulation=Emulation(rate_Bps, 0), ssd=(tmp_path / "kv", 1 << 20))
    put_slowly(store, range(12))
    begun_s = time.monotonic()
    staging = store.stage([key(0), key(1), key(2)])
    assert staging.wait(60)
    assert len(staging.sources) == 3
    assert time.monotonic() - begun_s >= 3 * SHAPE.bytes / rate_Bps
    measured = store.cost.transfer_s("ssd", 1)
    assert measured is not None
    assert measured >= SHAPE.bytes / rate_Bps
    store.release(staging)


def test_ssd_also_gets_what_has_gone_to_cxl_memory_meanwhile(
    opened: Opener, tmp_path: Path
) -> None:
    store, _ = opened(ssd=(tmp_path / "kv", 1 << 20))
    assert store.disk is not None
    put_slowly(store, range(5))
    assert store.cxl is not None
    assert not store.memory.has(key(0))
    assert store.cxl.has(key(0))
    store.disk.clear()
    store.disk.write([key(0)])
    assert store.disk.flush(60)
    assert store.disk.has(key(0))


@given(st.lists(st.integers(0, 14), max_size=60), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_there_is_never_more_than_fits_nor_anything_wrong(numbers: list[int], blocks: int) -> None:
    store = KvStore(region(4), SHAPE, 32, IDENTITY, cxl=region(blocks))
    assert store.cxl is not None
    for number in numbers:
        found = read_block(store, number)
        if found is None:
            put(store, [number])
        else:
            assert found == content(number).tobytes()
        assert store.flush(60)
        assert store.cxl.used_blocks <= blocks
        assert store.memory.used_blocks <= 4
    store.close()


def test_blocks_are_found_at_every_moment_of_their_way_down() -> None:
    """By one who looks as fast as he can, while others push them down."""
    store = KvStore(region(4), SHAPE, 32, IDENTITY, cxl=region(40))
    put(store, [0])
    is_over = threading.Event()
    missed: list[bool] = []

    def look() -> None:
        while not is_over.is_set():
            missed.append(not store.look_up([key(0)])[0])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        put_slowly(store, range(1, 40))
    finally:
        is_over.set()
        thread.join()
    assert len(missed) > 100
    assert not any(missed)
    assert not store.memory.has(key(0))
    store.close()


def test_a_damaged_block_is_dropped(tmp_path: Path) -> None:
    with toy_engine(tmp_path, 6, 40) as (engine, below):
        for number in range(5):
            engine.run(f"r{number}", said(number), [0, 1, 2, 3])
            assert engine.store.flush(60)
        # Places are taken from the first on: the first chat's first block.
        memory_at(below.address, below.bytes)[TOY_SHAPE.header_bytes + 7] ^= 1
        engine.kv[:] = 0
        assert engine.run("again", said(0), [3, 2, 1, 0]) == (3, {3})
        assert engine.store.counters.get("cxl", "corrupted") == 1
        assert engine.store.counters.get("memory", "corrupted") == 0


def test_what_is_cleared_is_gone_and_does_not_come_back(opened: Opener) -> None:
    store, _ = opened(emulation=Emulation(10**6, 0))
    put(store, [1, 2, 3, 4])
    # While the first of them is on its way down.
    store.clear()
    assert store.flush(60)
    assert store.look_up([key(1)]) == ({}, {})
    assert store.fills()["cxl"].used_bytes == 0
    put(store, [1])
    assert store.flush(60)
    assert store.look_up([key(1), key(2)]) == ({"memory": 1}, {})


def test_an_emulated_one_is_as_slow_as_it_is_said_to_be(tmp_path: Path) -> None:
    """Both ways: copied down, and restored."""
    rate_Bps = 10**6  # noqa: N806
    with toy_engine(tmp_path, 6, 40, emulation=Emulation(rate_Bps, 0)) as (engine, _):
        begun_s = time.monotonic()
        for number in range(5):
            engine.run(f"r{number}", said(number), [0, 1, 2, 3])
            assert engine.store.flush(60)
        copied = engine.store.counters.get("cxl", "stored") * TOY_SHAPE.payload_bytes
        assert copied >= 9 * TOY_SHAPE.payload_bytes
        assert time.monotonic() - begun_s >= copied / rate_Bps
        begun_s = time.monotonic()
        assert engine.run("again", said(0), [3, 2, 1, 0]) == (3, set())
        assert engine.is_right(said(0), [3, 2, 1, 0])
        assert time.monotonic() - begun_s >= 3 * TOY_SHAPE.payload_bytes / rate_Bps
        measured = engine.store.cost.transfer_s("cxl", 1)
        assert measured is not None
        assert measured >= TOY_SHAPE.payload_bytes / rate_Bps


def test_memory_for_no_block_is_refused() -> None:
    with pytest.raises(NoSpaceError, match=f"cxl: .* takes {SHAPE.bytes}"):
        KvStore(region(4), SHAPE, 32, IDENTITY, cxl=region(0))


def test_an_engine_restores_from_both_at_once_and_counts_what_each_had(tmp_path: Path) -> None:
    with toy_engine(tmp_path, 7, 40) as (engine, _):
        for number in range(3):
            engine.run(f"r{number}", said(number), [0, 1, 2, 3])
            assert engine.store.flush(60)
        engine.kv[:] = 0
        assert engine.run("again", said(0), [3, 2, 1, 0]) == (3, set())
        assert engine.is_right(said(0), [3, 2, 1, 0])
        counters = engine.store.counters
        hits = [counters.get(tier, "hits") for tier in ("memory", "cxl", "ssd")]
        assert hits == [1, 2, 0]
        assert counters.get("memory", "bytes_out") == TOY_SHAPE.bytes
        assert counters.get("cxl", "bytes_out") == 2 * TOY_SHAPE.bytes
