"""Hundreds of requests on an engine that is only memory: what Python holds does not grow."""

from __future__ import annotations

import gc
import random
import threading
import tracemalloc
from pathlib import Path

import pytest

from tests.unit.serving.kv.tiers import MappedRegion
from tests.unit.serving.kv.toy_engine import SHAPE, TOKENS, ToyEngine, said

WARM_UP, REQUESTS = 100, 200
SESSIONS = 12
LEAK_BYTES = 1024


@pytest.mark.parametrize("leak_bytes", [0, LEAK_BYTES])
def test_requests_leave_nothing_behind(tmp_path: Path, leak_bytes: int) -> None:
    """And one that leaves a kibibyte would be seen."""
    cxl = MappedRegion(6 * SHAPE.bytes)
    engine = ToyEngine(tmp_path / "kv", 6, disk_blocks=20, cxl=cxl)
    threads = threading.active_count()
    leaked: list[bytearray] = []
    requests = Requests(engine)
    tracemalloc.start()
    try:
        requests.serve(WARM_UP)
        before = held_bytes()
        for _ in range(REQUESTS // 10):
            requests.serve(10)
            leaked += [bytearray(leak_bytes) for _ in range(10)]
        growth = (held_bytes() - before) / REQUESTS
    finally:
        tracemalloc.stop()
    assert (growth < LEAK_BYTES / 4) is not bool(leak_bytes)
    assert threading.active_count() == threads
    counters = engine.store.counters
    assert counters.get("memory", "evicted") >= REQUESTS
    assert counters.get("cxl", "evicted") >= 1
    assert counters.get("cxl", "hits") >= 1
    assert counters.get("ssd", "evicted") >= 1
    assert counters.get("ssd", "hits") >= 1
    for tier in engine.store.near.tiers:
        assert all(block.pins == 0 for block in tier._blocks.values())
    engine.steps.close()
    engine.store.close()


def held_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class Requests:
    """Of sessions at random; some are given up, while they wait or have been staged."""

    def __init__(self, engine: ToyEngine) -> None:
        self._engine, self._random, self._number = engine, random.Random(1), 0

    def serve(self, count: int) -> None:
        engine, ids = self._engine, [0, 1, 2, 3, 4]
        for _ in range(count):
            self._number += 1
            name = f"r{self._number}"
            tokens = said(self._random.randrange(SESSIONS), self._random.randint(40, 5 * TOKENS))
            if self._random.random() < 0.2:
                engine.sessions.match(name, "", tokens, 0, 2)
                engine.sessions.finish(name)
                continue
            engine.run(name, tokens, ids)
            assert engine.is_right(tokens, ids)
        assert engine.store.flush(10)
