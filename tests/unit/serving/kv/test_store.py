"""The store without an engine: bytes come back as they went in, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import NoSpaceError
from tiermem.serving.kv.store import Fill, KvStore
from tiermem.serving.kv.transfers import Transfers

from tests.unit.serving.kv.tiers import (
    IDENTITY,
    SHAPE,
    content,
    key,
    open_store,
    put,
    read_block,
    region,
    saved,
    stage,
)


@pytest.mark.parametrize("uses_ring", [True, False])
def test_blocks_that_left_memory_come_back_from_ssd(tmp_path: Path, uses_ring: bool) -> None:
    transfers = Transfers(4, ring=uses_ring)
    if uses_ring and not transfers.uses_ring:
        pytest.skip("this kernel lets nobody have an io_uring")
    store = open_store(tmp_path / "kv", 4, 16, transfers=transfers)
    for number in range(10):
        put(store, [number])
        assert store.flush(60)
    assert store.look_up([key(0), key(1)]) == ({}, {"ssd": 2})
    stage(store, [0, 1])
    assert read_block(store, 0) == content(0).tobytes()
    assert read_block(store, 1) == content(1).tobytes()
    assert store.counters.get("memory", "lost") == 0
    assert store.counters.get("ssd", "stored") == 10
    store.close()


def test_a_new_process_finds_them(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [1, 2, 3])
    store = open_store(tmp_path / "kv", 4, 16)
    assert store.look_up([key(1), key(2), key(3), key(4)]) == ({}, {"ssd": 3})
    stage(store, [1, 2])
    assert read_block(store, 2) == content(2).tobytes()
    store.close()


def test_capacities_hold_to_the_byte(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 4, 5)
    for number in range(12):
        put(store, [number])
        assert store.flush(60)
    assert store.memory.used_blocks == 4
    assert store.disk is not None
    assert store.disk.used_blocks == 5
    assert store.fills() == {
        "memory": Fill(4 * SHAPE.bytes, 4 * SHAPE.bytes),
        "ssd": Fill(5 * SHAPE.bytes, 5 * SHAPE.bytes),
    }
    assert (tmp_path / "kv").stat().st_size <= 4096 + 5 * SHAPE.bytes
    store.close()
    with pytest.raises(NoSpaceError, match=f"takes {SHAPE.bytes}"):
        KvStore(region(0), SHAPE, 32, IDENTITY)


def test_a_smaller_capacity_cuts_the_file(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [0, 1, 2, 3])
    store = open_store(tmp_path / "kv", 4, 2)
    assert (tmp_path / "kv").stat().st_size == 4096 + 2 * SHAPE.bytes
    assert store.look_up([key(0), key(1), key(2)]) == ({}, {"ssd": 2})
    store.close()


def test_who_is_pinned_stays_and_who_comes_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 3, 16)
    put(store, [0, 1, 2])
    assert store.flush(60)
    pins = store.near.pin_prefix([key(0), key(1), key(2)])
    assert len(pins) == 3
    assert store.memory.reserve(key(3), 3) is None
    assert store.counters.get("memory", "refused") == 1
    store.memory.unpin(pins)
    put(store, [3])
    assert store.look_up([key(0), key(1), key(2)]) == ({"memory": 2}, {"ssd": 1}), (
        "the end of a prefix goes first"
    )
    store.close()


def test_the_file_of_another_engine_starts_anew(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [1])
    other = KvStore(region(4), SHAPE, 32, bytes(32), ssd=(tmp_path / "kv", 1 << 20))
    assert other.look_up([key(1)]) == ({}, {})
    other.close()
