"""Capacities hold to the byte while everything is under way at once, buffers included."""

from __future__ import annotations

import mmap
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from tiermem.layer.pool import create_pool, open_pool
from tiermem.native._kv import ffi
from tiermem.serving.kv.behind import AT_ONCE
from tiermem.serving.kv.pieces import new_pieces, save
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.store import KvStore

from tests.unit.serving.kv.tiers import IDENTITY, MappedRegion, arena_region, key

# Blocks of a MiB: a buffer of one, anywhere, would be seen in the process' memory.
SHAPE = RecordShape(pieces=4, piece_bytes=256 << 10)
MEMORY_BLOCKS, CXL_BLOCKS, SSD_PLACES, POOL_BLOCKS = 24, 26, 30, 10
BLOCKS = 80
LOAD_S = 2.0
# What Python itself takes and gives back meanwhile.
SLACK_BYTES = SHAPE.bytes


def test_limits_hold_while_blocks_move_between_all_tiers(tmp_path: Path) -> None:
    """Saved by two threads and staged by two, everything at capacity."""
    region = MappedRegion(MEMORY_BLOCKS * SHAPE.bytes + mmap.PAGESIZE)
    ffi.memmove(ffi.cast("char *", region.address), bytes(region.bytes), region.bytes)
    source = np.random.default_rng(1).integers(0, 256, SHAPE.payload_bytes, dtype=np.uint8)
    create_pool(tmp_path / "pool", hosts=1, entries=256, size=64 << 20)
    with ExitStack() as stack:
        open_it = partial(open_pool, tmp_path / "pool", 0, run_dir=tmp_path / "run")
        pool = stack.enter_context(open_pool(tmp_path / "pool"))
        below = stack.enter_context(arena_region(tmp_path, CXL_BLOCKS * SHAPE.bytes + 4095))
        store = KvStore(
            region,
            SHAPE,
            32,
            IDENTITY,
            cxl=below,
            ssd=(tmp_path / "kv", 4096 + SSD_PLACES * SHAPE.bytes + 4095),
            pool=(open_it, POOL_BLOCKS * SHAPE.bytes + 4095),
        )
        stack.callback(store.close)
        Load(store, source).run(0.3)  # threads, rings and their stacks are there after that
        before = anonymous_bytes()
        most_taken = most_blocks = most_cxl = most_file = most_pool = 0

        def watch() -> None:
            nonlocal most_taken, most_blocks, most_cxl, most_file, most_pool
            most_taken = max(most_taken, anonymous_bytes() - before)
            most_blocks = max(most_blocks, store.memory.used_blocks)
            most_cxl = max(most_cxl, store.fills()["cxl"].used_bytes)
            most_file = max(most_file, (tmp_path / "kv").stat().st_size)
            taken = sum(entry.bytes for entry in pool.entries(unfinished=True))
            most_pool = max(most_pool, taken)

        load = Load(store, source)
        load.run(LOAD_S, watch)
        assert load.saved >= BLOCKS
        assert load.staged >= 2 * AT_ONCE
        assert most_blocks == MEMORY_BLOCKS
        assert most_cxl == CXL_BLOCKS * SHAPE.bytes
        assert most_file == 4096 + SSD_PLACES * SHAPE.bytes
        assert most_pool == POOL_BLOCKS * SHAPE.bytes
        assert most_taken <= SLACK_BYTES
        assert store.counters.get("cxl", "bytes_in") >= SHAPE.bytes, "from memory"
        for tier in ("memory", "cxl", "pool", "ssd"):
            assert store.counters.get(tier, "evicted") >= 1, tier  # type: ignore[arg-type]
            assert store.counters.get(tier, "corrupted") == 0, tier  # type: ignore[arg-type]


class Load:
    """Threads that save and stage at random."""

    def __init__(self, store: KvStore, source: np.ndarray) -> None:
        self._store, self._source = store, source
        self._is_over = threading.Event()
        self.saved = self.staged = 0

    def run(self, seconds: float, watch: Callable[[], None] = lambda: None) -> None:
        threads = [
            threading.Thread(target=work, args=(seed,))
            for seed, work in enumerate((self._save, self._save, self._stage, self._stage))
        ]
        for thread in threads:
            thread.start()
        deadline_s = time.monotonic() + seconds
        while time.monotonic() < deadline_s or not self._is_enough():
            watch()
        self._is_over.set()
        for thread in threads:
            thread.join()
        assert self._store.flush(30)

    def _is_enough(self) -> bool:
        return self.saved >= BLOCKS and self.staged >= 2 * AT_ONCE

    def _save(self, seed: int) -> None:
        numbers = random.Random(seed)
        while not self._is_over.is_set():
            number = numbers.randrange(BLOCKS)
            block = self._store.memory.reserve(key(number), number)
            if block is None:
                continue
            pieces = new_pieces(SHAPE.pieces)
            steps = np.arange(SHAPE.pieces, dtype=np.uint64) * np.uint64(SHAPE.piece_bytes)
            pieces["from"] = self._source.ctypes.data + steps
            pieces["to"] = block.address + SHAPE.header_bytes + steps
            save(pieces, SHAPE.piece_bytes, self._store.memory.pace)
            self._store.memory.commit(block, tuple(int(one) for one in pieces["sum"]))
            self._store.saved([block])
            self.saved += 1

    def _stage(self, seed: int) -> None:
        numbers = random.Random(seed)
        while not self._is_over.is_set():
            staging = self._store.stage([key(numbers.randrange(BLOCKS)) for _ in range(AT_ONCE)])
            assert staging.wait(30)
            self.staged += len(staging.sources)
            self._store.release(staging)


def anonymous_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say")
