"""Requests at random over tiers that are too small for them: what is restored is right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tiermem.serving.kv.eviction import PolicyName
from tiermem.serving.kv.record import memory_at

from tests.unit.serving.kv.toy_engine import BLOCKS, SHAPE, TOKENS, ToyEngine


def conversation(rng: random.Random) -> list[int]:
    """Of a few that begin alike and go on in one of two ways at each block."""
    tokens = [rng.randrange(3)] * TOKENS
    for _ in range(rng.randrange(1, BLOCKS - 2)):
        tokens += [rng.randrange(2)] * TOKENS
    return tokens + [7] * rng.randrange(TOKENS)


def damage(engine: ToyEngine, rng: random.Random) -> None:
    """A bit of memory turns over."""
    ready = [block for block in engine.store.memory._blocks.values() if block.is_ready]
    if ready:
        at = rng.randrange(SHAPE.header_bytes, SHAPE.header_bytes + SHAPE.payload_bytes)
        memory_at(rng.choice(ready).address, SHAPE.bytes)[at] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize("eviction", ["fifo", "lru", "arc", "cost"])
def test_nothing_wrong_is_restored(tmp_path: Path, eviction: PolicyName) -> None:
    rng = random.Random(eviction)
    engine = ToyEngine(tmp_path / "kv", 9, disk_blocks=14, eviction=eviction)
    restored = damaged = 0
    for number in range(80):
        tokens = conversation(rng)
        ids = rng.sample(range(BLOCKS), BLOCKS)
        engine.kv[:] = 255
        if rng.random() < 0.5:
            damage(engine, rng)
        if rng.random() < 0.1:
            # Asks, and goes away.
            engine.sessions.match("gone", "", tokens, 0, 2)
            engine.sessions.finish("gone")
        blocks, bad = engine.run(f"r{number}", tokens, ids)
        restored += blocks
        damaged += bool(bad)
        assert bad <= set(ids[:blocks])
        good = next((at for at in range(blocks) if ids[at] in bad), len(tokens) // TOKENS)
        assert engine.is_right(tokens[: good * TOKENS], ids)
        assert engine.store.memory.used_blocks <= 9
    assert engine.store.flush(5)
    assert all(b.is_ready and not b.pins for b in engine.store.memory._blocks.values())
    assert len(engine.store.memory._blocks) == engine.store.memory.used_blocks
    assert restored > 20
    assert damaged + engine.store.counters.get("ssd", "corrupted") >= 1
    assert engine.store.counters.get("ssd", "hits") > 0
    engine.steps.close()
    engine.store.close()
