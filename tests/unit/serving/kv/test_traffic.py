"""Requests at random over tiers that are too small for them: what is restored is right."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tiermem.serving.kv.eviction import PolicyName
from tiermem.serving.kv.record import memory_at

from tests.unit.serving.kv.tiers import MappedRegion
from tests.unit.serving.kv.toy_engine import BLOCKS, SHAPE, TOKENS, ToyEngine


def conversation(rng: random.Random) -> list[int]:
    """Of a few that begin alike and go on in one of two ways at each block."""
    tokens = [rng.randrange(3)] * TOKENS
    for _ in range(rng.randrange(1, BLOCKS - 2)):
        tokens += [rng.randrange(2)] * TOKENS
    return tokens + [7] * rng.randrange(TOKENS)


def damage(engine: ToyEngine, rng: random.Random) -> None:
    """A bit of memory turns over."""
    ready = [
        block
        for tier in engine.store.near.tiers
        for block in tier._blocks.values()
        if block.is_ready
    ]
    if ready:
        at = rng.randrange(SHAPE.header_bytes, SHAPE.header_bytes + SHAPE.payload_bytes)
        memory_at(rng.choice(ready).address, SHAPE.bytes)[at] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize("eviction", ["fifo", "lru", "arc", "cost"])
@pytest.mark.parametrize("cxl_blocks", [0, 4])
def test_nothing_wrong_is_restored(tmp_path: Path, eviction: PolicyName, cxl_blocks: int) -> None:
    rng = random.Random(eviction)
    cxl = MappedRegion(cxl_blocks * SHAPE.bytes) if cxl_blocks else None
    engine = ToyEngine(tmp_path / "kv", 9 - cxl_blocks, disk_blocks=14, eviction=eviction, cxl=cxl)
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
        assert sum(tier.used_blocks for tier in engine.store.near.tiers) <= 9
    assert engine.store.flush(60)
    for tier in engine.store.near.tiers:
        assert all(block.is_ready and not block.pins for block in tier._blocks.values())
        assert len(tier._blocks) == tier.used_blocks
    assert restored > 20
    assert damaged + engine.store.counters.get("ssd", "corrupted") >= 1
    assert engine.store.counters.get("ssd", "hits") > 0
    assert bool(engine.store.counters.get("cxl", "hits")) == bool(cxl_blocks)
    engine.steps.close()
    engine.store.close()
