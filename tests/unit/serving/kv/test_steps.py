"""Sessions and steps on an engine that is only memory: what comes back is what went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiermem.layer.arena import Emulation
from tiermem.serving.kv.record import memory_at
from tiermem.serving.kv.sessions import Match, Scheduled, Sessions

from tests.unit.serving.kv.tiers import IDENTITY, arena_region
from tests.unit.serving.kv.toy_engine import SHAPE, ToyEngine, keys_of, said


def test_an_emulated_tier_is_as_slow_as_it_is_said_to_be(tmp_path: Path) -> None:
    with arena_region(tmp_path, 8 * SHAPE.bytes, Emulation(10**6, 0)) as region:
        toy = ToyEngine(tmp_path / "kv", 0, region)
        begun_s = time.monotonic()
        toy.run("a", said(1), [0, 1, 2, 3])
        # Three blocks of 4000 bytes at a megabyte a second.
        assert time.monotonic() - begun_s >= 0.012
        begun_s = time.monotonic()
        assert toy.run("b", said(1), [7, 6, 5, 4]) == (3, set())
        assert time.monotonic() - begun_s >= 0.012
        assert toy.is_right(said(1), [7, 6, 5, 4])
        toy.steps.close()
        toy.store.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ToyEngine]:
    found = ToyEngine(tmp_path / "kv", 6)
    yield found
    found.steps.close()
    assert found.store.flush(60)
    assert all(not block.pins for block in found.store.memory._blocks.values())
    found.store.close()


def test_what_was_computed_comes_back_to_other_blocks(engine: ToyEngine) -> None:
    assert engine.run("a", said(1), [0, 1, 2, 3]) == (0, set())
    engine.kv[:] = 0
    assert engine.run("b", said(1), [7, 5, 6, 4]) == (3, set())
    assert engine.is_right(said(1), [7, 5, 6, 4])
    assert engine.store.counters.get("memory", "hits") == 3


def test_what_left_memory_comes_back_by_way_of_it(engine: ToyEngine) -> None:
    for number in range(5):
        engine.run(f"r{number}", said(number), [0, 1, 2, 3])
        assert engine.store.flush(60)
    engine.kv[:] = 0
    assert engine.run("again", said(0), [3, 2, 1, 0]) == (3, set())
    assert engine.is_right(said(0), [3, 2, 1, 0])
    assert engine.store.counters.get("ssd", "hits") == 3


def test_a_request_that_comes_while_others_decode_is_restored_beside(engine: ToyEngine) -> None:
    engine.run("a", said(1), [0, 1, 2, 3])
    engine.step("decoding", said(9, 40), 39, [4, 5])
    engine.kv[:] = 0
    match = engine.match("b", said(1))
    assert match == Match(3, is_background=True)
    engine.sessions.admit("b", [0, 1, 2, 3], 3)
    engine.step("decoding", said(9, 41), 40, [4, 5])
    engine.steps.drain()
    assert engine.steps.take_results() == ({"b"}, set())
    assert engine.is_right(said(1)[:96], [0, 1, 2])
    engine.sessions.finish("b")


def test_a_damaged_block_is_told_of_and_spoils_what_came_of_it(engine: ToyEngine) -> None:
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.store.flush(60)
    (_, block, _) = pinned = engine.store.near.pin_prefix(keys_of(said(1)))
    engine.store.memory.unpin(pinned)
    memory_at(block.address, SHAPE.bytes)[SHAPE.header_bytes + 2500] ^= 1
    longer = said(1) + said(2)
    restored, bad = engine.run("b", longer, [0, 1, 2, 3, 4, 5, 6])
    assert (restored, bad) == (3, {1})
    assert engine.store.counters.get("memory", "corrupted") == 1
    assert engine.store.look_up(keys_of(longer))[0] == {"memory": 1}, "nothing new was kept"
    # SSD has it as it was.
    assert engine.run("c", longer, [0, 1, 2, 3, 4, 5, 6]) == (3, set())
    assert engine.is_right(longer, [0, 1, 2, 3, 4, 5, 6])
    assert engine.store.look_up(keys_of(longer))[0] == {"memory": 6}


def test_nothing_is_kept_of_a_step_that_did_not_compute_all_layers(engine: ToyEngine) -> None:
    engine.is_failing = True
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.store.memory.used_blocks == 0


def test_only_steps_that_copy_are_told_of_their_layers(engine: ToyEngine) -> None:
    assert not engine.steps.is_layered
    engine.steps.begin(engine.sessions.plan([]))
    assert not engine.steps.is_layered
    engine.steps.end()
    part = Scheduled("a", 0, 100, said(1), lambda: [0, 1, 2, 3])
    assert engine.match("a", said(1)).blocks == 0
    engine.sessions.admit("a", [0, 1, 2, 3], 0)
    engine.steps.begin(engine.sessions.plan([part]))
    assert engine.steps.is_layered
    engine.steps.end()
    engine.sessions.finish("a")
    assert not engine.steps.is_layered


def test_the_stores_state_is_another_when_anything_is(engine: ToyEngine) -> None:
    before = engine.store.state, engine.store.fills(), engine.store.counters.snapshot()
    assert engine.store.state == before[0]
    block = engine.store.memory.reserve(keys_of(said(1))[0], 0)
    assert block is not None
    assert engine.store.counters.snapshot() == before[2]
    assert (engine.store.state != before[0]) is (engine.store.fills() != before[1]) is True
    engine.store.memory.abandon(block)
    assert (engine.store.state, engine.store.fills()) == before[:2]
    engine.store.counters.add("memory", "misses")
    assert engine.store.state != before[0]


def test_what_is_staged_takes_half_of_memory_and_others_wait(engine: ToyEngine) -> None:
    for number in range(6):
        engine.run(f"r{number}", said(number), [0, 1, 2, 3])
        assert engine.store.flush(60)
    assert engine.sessions.match("a", "", said(0), 0, 2).blocks is None
    assert engine.sessions.match("b", "", said(1), 0, 2).blocks is None
    # One has three of six; the other does not begin, and takes no place.
    assert engine.store.flush(60)
    assert engine.sessions.match("b", "", said(1), 0, 2).blocks is None
    assert engine.store.look_up(keys_of(said(1)))[0] == {}
    assert engine.match("a", said(0)).blocks == 3
    assert engine.match("b", said(1)).blocks == 3
    for name in ("a", "b"):
        engine.sessions.finish(name)


def test_a_request_that_gets_no_blocks_holds_nothing(engine: ToyEngine) -> None:
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.match("b", said(1)).blocks == 3
    engine.steps.begin(engine.sessions.plan([]))
    assert engine.store.flush(60)
    assert all(not block.pins for block in engine.store.memory._blocks.values())


def test_salts_are_apart(engine: ToyEngine) -> None:
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.sessions.match("b", "salt", said(1), 0, 1).blocks == 0


def test_a_cleared_store_has_nothing_nor_has_its_file(engine: ToyEngine, tmp_path: Path) -> None:
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.store.flush(60)
    engine.store.clear()
    assert engine.match("b", said(1)).blocks == 0
    engine.sessions.finish("b")
    assert (tmp_path / "kv").stat().st_size == 4096
    engine.run("c", said(1), [0, 1, 2, 3])
    assert engine.run("d", said(1), [4, 5, 6, 7]) == (3, set())


def test_what_is_made_with_other_weights_is_found_by_nobody_else(
    engine: ToyEngine, tmp_path: Path
) -> None:
    """Neither by an engine that comes later, with the weights that this one began with."""
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.match("running", said(2)).blocks == 0
    engine.sessions.renew()
    engine.store.clear()
    engine.step("running", said(2), 0, [4, 5, 6, 7])
    engine.run("b", said(1), [0, 1, 2, 3])
    assert engine.run("c", said(1), [4, 5, 6, 7]) == (3, set())
    engine.sessions.finish("running")
    assert engine.store.flush(60)
    engine.store.memory.clear()
    sessions = Sessions(engine.store, IDENTITY, always_restore=True)
    assert sessions.match("later", "", said(1), 0, 1).blocks == 0
    assert sessions.match("later too", "", said(2), 0, 1).blocks == 0


def test_what_was_computed_before_other_weights_came_is_not_saved_under_theirs(
    engine: ToyEngine,
) -> None:
    """A reset while a request runs, whose blocks stay; and one when the engine is empty."""
    assert engine.match("running", said(2)).blocks == 0
    engine.sessions.admit("running", [4, 5, 6, 7], 0)
    engine.step("running", said(2, 40), 0, [4, 5])
    engine.steps.drain()
    engine.sessions.renew(is_empty=False)
    engine.store.clear()
    engine.step("running", said(2), 40, [4, 5, 6, 7])
    engine.sessions.finish("running")
    # It may come from the engine's own cache.
    engine.run("a", said(2), [4, 5, 6, 7])
    assert engine.store.memory.used_blocks == 0
    engine.sessions.renew()
    engine.run("b", said(1), [0, 1, 2, 3])
    assert engine.run("c", said(1), [4, 5, 6, 7]) == (3, set())
    assert engine.match("d", said(2)).blocks == 0


def test_an_idle_engine_restores_within_the_step(engine: ToyEngine) -> None:
    """Nobody decodes any more, though the last step only did that."""
    engine.run("a", said(1), [0, 1, 2, 3])
    assert engine.match("decoding", said(9, 40)).blocks == 0
    engine.step("decoding", said(9, 40), 39, [4, 5])
    engine.sessions.finish("decoding")
    assert engine.match("b", said(1)) == Match(3, is_background=False)
    engine.sessions.finish("b")


def test_who_decodes_does_not_wait_for_what_another_restores(tmp_path: Path) -> None:
    """A copy of a piece takes at least 0.1 s."""
    with arena_region(tmp_path, 8 * SHAPE.bytes, Emulation(10**9, 100_000_000)) as region:
        toy = ToyEngine(tmp_path / "kv", 0, region)
        toy.run("a", said(1), [0, 1, 2, 3])
        toy.step("decoding", said(9, 20), 19, [4])
        assert toy.match("b", said(1)) == Match(3, is_background=True)
        toy.sessions.admit("b", [0, 1, 2, 3], 3)
        for token in range(20, 25):
            toy.step("decoding", said(9, token + 1), token, [4])
        assert toy.steps.take_results() == (set(), set()), "five steps, and it is not there yet"
        toy.steps.drain()
        assert toy.steps.take_results() == ({"b"}, set())
        toy.steps.close()
        toy.store.close()
