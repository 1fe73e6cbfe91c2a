"""CXL memory behind a smaller memory: blocks go there, and come back by way of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import NoSpaceError
from tiermem.layer.arena import Emulation, create_arena
from tiermem.serving.kv.record import memory_at
from tiermem.serving.kv.region import ArenaRegion
from tiermem.serving.kv.store import Fill, KvStore

from tests.unit.serving.kv.tiers import (
    IDENTITY,
    SHAPE,
    arena_region,
    content,
    key,
    put,
    read_block,
    region,
)
from tests.unit.serving.kv.toy_engine import SHAPE as TOY_SHAPE
from tests.unit.serving.kv.toy_engine import ToyEngine, said

Opener = Callable[..., tuple[KvStore, ArenaRegion]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A store of four blocks in memory, and CXL memory behind it."""
    with ExitStack() as stack:

        def open_it(blocks: int = 8, emulation: Emulation | None = None, **more: Any) -> Any:
            size = blocks * SHAPE.bytes
            behind = stack.enter_context(arena_region(tmp_path, size, emulation))
            store = KvStore(region(4), SHAPE, 32, IDENTITY, cxl=behind.buffer, **more)
            stack.callback(store.close)
            return store, behind

        yield open_it


def stage(store: KvStore, numbers: list[int]) -> None:
    staging = store.stage([key(number) for number in numbers])
    assert staging.wait(5)
    store.release(staging)


def test_blocks_that_left_memory_come_back_from_it(opened: Opener) -> None:
    store, _ = opened()
    for number in range(8):
        put(store, [number])
        assert store.flush(5)
    assert store.look_up([key(0), key(1), key(9)]) == (0, {"cxl": 2})
    stage(store, [0, 1])
    assert read_block(store, 0) == content(0).tobytes()
    assert read_block(store, 1) == content(1).tobytes()
    assert store.counters.get("memory", "lost") == 0
    assert store.counters.get("cxl", "bytes_out") == 2 * SHAPE.bytes
    assert store.fills()["cxl"] == Fill(8 * SHAPE.bytes, 8 * SHAPE.bytes)


def test_it_comes_before_ssd_which_has_what_it_has_not(opened: Opener, tmp_path: Path) -> None:
    store, _ = opened(blocks=5, ssd=(tmp_path / "kv", 1 << 20))
    for number in range(9):
        put(store, [number])
        assert store.flush(5)
    assert store.look_up([key(4), key(3)]) == (0, {"cxl": 1, "ssd": 1})


def test_what_ssd_brings_is_there_again(opened: Opener, tmp_path: Path) -> None:
    store, _ = opened(blocks=5, ssd=(tmp_path / "kv", 1 << 20))
    for number in range(9):
        put(store, [number])
        assert store.flush(5)
    stage(store, [0])
    assert store.flush(5)
    store.memory.clear()
    assert store.look_up([key(0)]) == (0, {"cxl": 1})


def test_what_memory_has_and_is_used_does_not_leave_it(tmp_path: Path) -> None:
    """Of ten chats one goes on and on: it is in DRAM whenever it comes."""
    with arena_region(tmp_path, 12 * TOY_SHAPE.bytes) as behind:
        engine = ToyEngine(tmp_path / "kv", 9, cxl=behind.buffer)
        for number in range(10):
            engine.run(f"other{number}", said(number + 1), [0, 1, 2, 3])
            engine.run(f"hot{number}", said(0), [4, 5, 6, 7])
            assert engine.store.flush(5)
        assert engine.store.counters.get("cxl", "evicted") >= 9
        engine.store.memory.clear()
        assert engine.run("again", said(0), [0, 1, 2, 3]) == (3, set())
        assert engine.store.counters.get("cxl", "hits") == 3
        engine.steps.close()
        engine.store.close()


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_it_never_has_more_than_fits_nor_anything_wrong(numbers: list[int], blocks: int) -> None:
    arena = create_arena("cxl", blocks * SHAPE.bytes)
    behind = ArenaRegion(arena)
    store = KvStore(region(4), SHAPE, 32, IDENTITY, cxl=behind.buffer)
    assert store.cxl is not None
    for number in numbers:
        if store.memory.has(key(number)):
            continue
        if store.cxl.has(key(number)):
            stage(store, [number])
            assert read_block(store, number) == content(number).tobytes()
        else:
            put(store, [number])
        assert store.flush(5)
        assert store.cxl.used_blocks <= blocks
    store.close()
    behind.close()
    arena.close()


def test_a_damaged_block_is_dropped(opened: Opener) -> None:
    store, behind = opened()
    put(store, [1, 2])
    assert store.flush(5)
    store.memory.clear()
    # Places are taken from the first on.
    memory_at(behind.address, behind.bytes)[SHAPE.header_bytes + 7] ^= 1
    stage(store, [1, 2])
    assert (read_block(store, 1), read_block(store, 2)) == (None, content(2).tobytes())
    assert store.counters.get("cxl", "corrupted") == 1
    assert store.look_up([key(1)]) == (0, {})
    put(store, [1])
    assert store.flush(5)
    assert store.fills()["cxl"].used_bytes == 2 * SHAPE.bytes


def test_what_is_cleared_is_gone(opened: Opener) -> None:
    store, _ = opened()
    put(store, [1, 2])
    assert store.flush(5)
    store.clear()
    assert store.look_up([key(1)]) == (0, {})
    assert store.fills()["cxl"].used_bytes == 0
    put(store, [1])
    assert store.flush(5)
    assert store.fills()["cxl"].used_bytes == SHAPE.bytes


def test_an_emulated_one_is_as_slow_as_it_is_said_to_be(opened: Opener) -> None:
    store, _ = opened(emulation=Emulation(10**6, 0))
    begun_s = time.monotonic()
    put(store, [1])
    assert store.flush(5)
    assert time.monotonic() - begun_s >= SHAPE.bytes / 10**6
    store.memory.clear()
    begun_s = time.monotonic()
    stage(store, [1])
    assert time.monotonic() - begun_s >= SHAPE.bytes / 10**6
    measured = store.cost.transfer_s("cxl", 1)
    assert measured is not None
    assert measured >= SHAPE.bytes / 10**6


def test_memory_for_no_block_is_refused(opened: Opener, tmp_path: Path) -> None:
    with (
        create_arena("small", 4096, run_dir=tmp_path / "run") as arena,
        arena.allocate(4096) as buffer,
        pytest.raises(NoSpaceError, match="of CXL memory: a KV block of this engine takes"),
    ):
        KvStore(region(4), SHAPE, 32, IDENTITY, cxl=buffer)


def test_an_engine_restores_from_it_and_counts_what_it_had(tmp_path: Path) -> None:
    with arena_region(tmp_path, 40 * TOY_SHAPE.bytes) as behind:
        engine = ToyEngine(tmp_path / "kv", 6, cxl=behind.buffer)
        for number in range(5):
            engine.run(f"r{number}", said(number), [0, 1, 2, 3])
            assert engine.store.flush(5)
        engine.kv[:] = 0
        assert engine.run("again", said(0), [3, 2, 1, 0]) == (3, set())
        assert engine.is_right(said(0), [3, 2, 1, 0])
        assert engine.store.counters.get("cxl", "hits") == 3
        assert engine.store.counters.get("ssd", "hits") == 0
        engine.steps.close()
        engine.store.close()
