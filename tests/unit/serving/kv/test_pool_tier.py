"""Stores that share a pool: hosts find each other's blocks, and keep to their own limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from errno import EIO
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from tiermem.errors import KernelError, LeaseLostError, NoSpaceError, TiermemError
from tiermem.layer.pool import Pool, create_pool, open_pool
from tiermem.serving.kv import pool_tier
from tiermem.serving.kv.record import memory_at
from tiermem.serving.kv.store import KvStore

from tests.unit.serving.kv.tiers import IDENTITY, SHAPE, content, key, put, read_block, region

Opener = Callable[..., tuple[KvStore, Pool]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """A store of a host, of four blocks in memory; a pool with room for many more."""
    create_pool(tmp_path / "pool", hosts=2, entries=64, size=16 << 20)
    with ExitStack() as stack:

        def open_it(host: int, blocks: int = 8, **options: object) -> tuple[KvStore, Pool]:
            pools: list[Pool] = []

            def open_as_host() -> Pool:
                pools.append(open_pool(tmp_path / "pool", host, run_dir=tmp_path / f"run{host}"))
                return pools[-1]

            store = KvStore(
                region(4),
                SHAPE,
                32,
                IDENTITY,
                pool=(open_as_host, blocks * SHAPE.bytes),
                **options,  # type: ignore[arg-type]
            )
            stack.callback(store.close)
            return store, pools[-1]

        yield open_it


def stage(store: KvStore, numbers: list[int]) -> None:
    staging = store.stage([key(number) for number in numbers])
    assert staging.wait(60)
    store.release(staging)


def test_another_host_finds_what_one_has_computed(opened: Opener) -> None:
    (one, _), (other, _) = opened(0), opened(1)
    put(one, [1, 2, 3])
    assert one.flush(60)
    assert other.look_up([key(1), key(2), key(9)]) == ({}, {"pool": 2})
    stage(other, [1, 2])
    assert read_block(other, 2) == content(2).tobytes()
    assert other.counters.get("pool", "bytes_out") == 2 * SHAPE.bytes


def test_each_keeps_to_its_capacity(opened: Opener) -> None:
    (one, pool), (other, _) = opened(0, blocks=3), opened(1, blocks=2)
    for store, numbers in ((one, range(10)), (other, range(20, 30))):
        for number in numbers:
            put(store, [number])
            assert store.flush(60)
    assert sorted(entry.extent.host for entry in pool.entries()) == [0, 0, 0, 1, 1]
    assert one.counters.get("pool", "evicted") == 7
    stage(other, [9])
    assert read_block(other, 9) == content(9).tobytes()


def test_what_two_compute_is_there_once(opened: Opener) -> None:
    (one, pool), (other, _) = opened(0), opened(1)
    for store in (one, other):
        put(store, [1])
        assert store.flush(60)
    assert len(pool.entries()) == 1


def test_a_damaged_block_is_not_there_for_anybody(opened: Opener) -> None:
    (one, pool), (other, _) = opened(0), opened(1)
    put(one, [1])
    assert one.flush(60)
    (entry,) = pool.entries()
    memory_at(pool.address_of(entry.offset), entry.bytes)[SHAPE.header_bytes + 9] ^= 1
    stage(other, [1])
    assert read_block(other, 1) is None
    assert other.counters.get("pool", "corrupted") == 1
    pool.collect()  # its owner does so in time
    assert pool.entries() == []


def test_an_engine_that_is_gone_leaves_its_blocks_to_the_next(opened: Opener) -> None:
    """Which has them as its own: it counts them, finds them, and they go when others come."""
    one, _ = opened(0)
    put(one, [1, 2, 3])
    assert one.flush(60)
    one.close()
    following, pool = opened(0, blocks=3)
    assert following.pool is not None
    assert following.pool.used_bytes == 3 * SHAPE.bytes
    stage(following, [1])
    assert read_block(following, 1) == content(1).tobytes()
    put(following, [4])
    assert following.flush(60)
    assert following.counters.get("pool", "evicted") == 1
    assert len(pool.entries()) == 3


def test_what_is_cleared_is_gone_for_other_hosts(opened: Opener) -> None:
    one, pool = opened(0)
    put(one, [1, 2, 3])
    assert one.flush(60)
    one.clear()
    assert pool.entries() == []
    put(one, [4])
    assert one.flush(60)
    other, _ = opened(1)
    assert other.look_up([key(4)]) == ({}, {"pool": 1})


def test_a_full_pool_has_the_last_ones(opened: Opener) -> None:
    """Its directory has 64 entries for each host."""
    one, _ = opened(0, blocks=1000)
    for number in range(80):
        put(one, [number])
        assert one.flush(60)
    assert one.counters.get("pool", "stored") == 80
    assert one.counters.get("pool", "evicted") >= 16
    stage(one, [75])
    assert read_block(one, 75) == content(75).tobytes()


def test_a_capacity_below_a_block_is_refused(opened: Opener) -> None:
    with pytest.raises(NoSpaceError, match="takes"):
        opened(0, blocks=0)


def test_what_another_model_left_counts_by_its_bytes(opened: Opener) -> None:
    """Records twice as large, of an engine of this host that is gone."""
    _, pool = opened(1)
    program = PUBLISHER.format(path=pool.path, run=pool.path.parent / "run0", size=2 * SHAPE.bytes)
    subprocess.run([sys.executable, "-c", program], check=True)
    one, _ = opened(0, blocks=5)
    put(one, [1, 2])
    assert one.flush(60)
    mine = [entry for entry in pool.entries() if entry.extent.host == 0]
    assert sum(entry.bytes for entry in mine) <= 5 * SHAPE.bytes
    assert one.pool is not None
    assert one.pool.used_bytes == sum(entry.bytes for entry in mine)
    assert one.counters.get("pool", "stored") == 2


PUBLISHER = """
from pathlib import Path
from tiermem.layer.pool import open_pool
with open_pool(Path("{path}"), 0, run_dir=Path("{run}")) as pool:
    for number in (1, 2):
        pool.publish("kv-" + bytes([number] * 32).hex(), bytes({size}))
"""


def test_a_block_that_another_host_still_reads_takes_room_until_then(opened: Opener) -> None:
    (one, pool), (_, other) = opened(0, blocks=2), opened(1)
    put(one, [1, 2])
    assert one.flush(60)
    held = other.open("kv-" + key(1).hex())
    for number in range(3, 9):
        put(one, [number])
        assert one.flush(60)
        taken = [entry for entry in pool.entries(unfinished=True) if entry.extent.host == 0]
        assert sum(entry.bytes for entry in taken) <= 2 * SHAPE.bytes
    held.release()
    put(one, [9])
    put(one, [10])
    assert one.flush(60)
    assert one.look_up([key(9), key(10)])[0] == {"memory": 2}
    assert one.pool is not None
    assert one.pool.used_bytes == 2 * SHAPE.bytes


def test_a_publication_that_fails_is_no_end_of_the_tier(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, pool = opened(0)
    publish, errors = pool.publish, [KernelError("lock", EIO)]

    def failing(*args: Any, **kwargs: Any) -> Any:
        if errors:
            raise errors.pop()
        return publish(*args, **kwargs)

    monkeypatch.setattr(pool, "publish", failing)
    monkeypatch.setattr(pool_tier, "PAUSE_S", 0.0)
    put(one, [1])
    assert one.flush(60)
    put(one, [2])
    assert one.flush(60)
    assert one.counters.get("pool", "failed") == 1
    assert one.counters.get("pool", "stored") == 1


def test_what_is_read_yet_counts_for_the_next_engine_as_well(
    opened: Opener, tmp_path: Path
) -> None:
    one, _ = opened(0)
    put(one, [1, 2])
    assert one.flush(60)
    with open_pool(tmp_path / "pool", 1, run_dir=tmp_path / "run1") as reader:
        with reader.open(f"kv-{key(1).hex()}"):
            one.clear()
            one.close()
            other, _ = opened(0, blocks=2)
            assert other.pool is not None
            assert (other.pool.used_blocks, other.pool.used_bytes) == (0, SHAPE.bytes)
            put(other, [3, 4])
            assert other.flush(60)
            assert other.pool.used_bytes <= 2 * SHAPE.bytes
        put(other, [5])
        assert other.flush(60)
        assert other.pool.used_blocks == 2


def test_a_pool_that_cannot_be_opened_anew_is_tried_again(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what was cleared meanwhile is gone when it is back."""
    monkeypatch.setattr(pool_tier, "PAUSE_S", 0.3)
    one, pool = opened(0)
    put(one, [1, 2])
    assert one.flush(60)
    assert one.pool is not None
    open_it = one.pool._open_pool

    def is_lost() -> None:
        raise LeaseLostError("silent for too long")

    def is_not_to_be_had() -> Pool:
        raise TiermemError("another host still cleans up: try again")

    monkeypatch.setattr(pool, "check_lease", is_lost)
    monkeypatch.setattr(one.pool, "_open_pool", is_not_to_be_had)
    put(one, [3])
    assert one.flush(60)
    assert not one.pool.has(key(1))
    assert one.counters.get("pool", "refused") == 1
    one.clear()
    monkeypatch.setattr(one.pool, "_open_pool", open_it)
    time.sleep(0.4)
    put(one, [4])
    assert one.flush(60)
    assert one.counters.get("pool", "reopened") == 1
    with open_pool(tmp_path / "pool") as looker:
        assert [entry.name for entry in looker.entries()] == [f"kv-{key(4).hex()}"]


def test_a_host_that_was_taken_for_dead_goes_on_with_what_is_left(tmp_path: Path) -> None:
    """While its engine stands still, another host removes one of its two blocks."""
    create_pool(tmp_path / "pool", hosts=2, entries=64, size=16 << 20, lease_s=2.0)
    command = [sys.executable, "-c", ENGINE, tmp_path]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        assert engine.stdout.readline() == "two stored\n"
        os.kill(engine.pid, signal.SIGSTOP)
        with open_pool(tmp_path / "pool", 1, run_dir=tmp_path / "run1") as other:
            other.remove(f"kv-{key(1).hex()}")
            until = time.monotonic() + 20
            while not other.collect():
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(engine.pid, signal.SIGCONT)
            said, _ = engine.communicate("go on\n", timeout=20)
            there = {entry.name for entry in other.entries() if entry.extent.host == 0}
    assert said.splitlines() == ["reopened 1", "1 gone, 2 whole, 3 whole"]
    # As many as its capacity allows, those from before included.
    assert there == {f"kv-{key(number).hex()}" for number in (2, 3)}


ENGINE = """
import sys
from functools import partial
from pathlib import Path
from tiermem.layer.pool import open_pool
from tiermem.serving.kv.store import KvStore
from tests.unit.serving.kv.tiers import IDENTITY, SHAPE, content, key, put, read_block, region

folder = Path(sys.argv[1])
open_it = partial(open_pool, folder / "pool", 0, run_dir=folder / "run0")
store = KvStore(region(1), SHAPE, 32, IDENTITY, pool=(open_it, 2 * SHAPE.bytes))
for number in (1, 2):
    put(store, [number])
    assert store.flush(60)
print("two stored", flush=True)
sys.stdin.readline()
put(store, [3])
assert store.flush(20)
print("reopened", store.counters.get("pool", "reopened"))
seen = []
for number in (1, 2, 3):
    staging = store.stage([key(number)])
    assert staging.wait(60)
    store.release(staging)
    found = read_block(store, number)
    seen.append(f"{number} " + ("gone" if found is None else "whole"))
    assert found in (None, content(number).tobytes())
print(", ".join(seen))
store.close()
"""
