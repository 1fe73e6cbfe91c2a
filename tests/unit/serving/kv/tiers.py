"""Small tiers for the tests: real memory, real files, blocks of three pieces."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tiermem.layer.arena import Emulation, create_arena
from tiermem.native._kv import ffi
from tiermem.serving.kv.memory_tier import Block, MemoryTier
from tiermem.serving.kv.pieces import new_pieces, save
from tiermem.serving.kv.record import RecordShape
from tiermem.serving.kv.region import ArenaRegion
from tiermem.serving.kv.store import KvStore

SHAPE = RecordShape(pieces=3, piece_bytes=5000)
IDENTITY = bytes(range(32))


class MappedRegion:
    """Anonymous memory, as fast as it is."""

    def __init__(self, size_bytes: int) -> None:
        self._map = mmap.mmap(-1, size_bytes)
        self.address = int(ffi.cast("uintptr_t", ffi.from_buffer(self._map)))
        self.bytes = size_bytes
        self.pace_address = 0


def region(blocks: int) -> MappedRegion:
    """With room for so many, and almost for another."""
    return MappedRegion((blocks + 1) * SHAPE.bytes - 1)


@contextmanager
def arena_region(
    folder: Path, size_bytes: int, emulation: Emulation | None = None
) -> Iterator[ArenaRegion]:
    """All of an arena of its own."""
    with create_arena("kv", size_bytes, emulation=emulation, run_dir=folder / "arenas") as arena:
        found = ArenaRegion(arena)
        yield found
        found.close()


def key(number: int) -> bytes:
    """Of a block, by any number."""
    return number.to_bytes(32, "little")


def content(number: int) -> np.ndarray:
    """What the engine has in that block."""
    return np.random.default_rng(number).integers(0, 256, SHAPE.payload_bytes, dtype=np.uint8)


def fill(memory: MemoryTier, block: Block, number: int) -> None:
    """Copy the content in and commit, as an engine's copier does."""
    data = content(number)
    pieces = new_pieces(SHAPE.pieces)
    steps = np.arange(SHAPE.pieces, dtype=np.uint64) * np.uint64(SHAPE.piece_bytes)
    pieces["from"] = data.ctypes.data + steps
    pieces["to"] = block.address + SHAPE.header_bytes + steps
    save(pieces, SHAPE.piece_bytes, memory.pace)
    memory.commit(block, tuple(int(one) for one in pieces["sum"]))


def put(store: KvStore, numbers: Sequence[int]) -> None:
    """Have the store save those blocks."""
    for number in numbers:
        block = store.memory.reserve(key(number), number)
        assert block is not None
        fill(store.memory, block, number)
        store.saved([block])


def read_block(store: KvStore, number: int) -> bytes | None:
    """What an engine would restore of a block now."""
    block = store.near.pin(key(number))
    if block is None:
        return None
    address = block.address + SHAPE.header_bytes
    data = bytes(ffi.buffer(ffi.cast("char *", address), SHAPE.payload_bytes))
    store.near.unpin([block])
    return data


def open_store(path: Path, memory_blocks: int, disk_blocks: int, **options: object) -> KvStore:
    """A store of so many blocks in memory and on SSD."""
    capacity = 4096 + disk_blocks * SHAPE.bytes
    ssd = (path, capacity)
    return KvStore(region(memory_blocks), SHAPE, 32, IDENTITY, ssd=ssd, **options)  # type: ignore[arg-type]


def stage(store: KvStore, numbers: list[int]) -> None:
    """Into memory, and let go of."""
    staging = store.stage([key(number) for number in numbers])
    assert staging.wait(60)
    store.release(staging)


def saved(path: Path, numbers: list[int], **options: object) -> None:
    """A file with those blocks, and nobody who has it open."""
    store = open_store(path, 8, 16, **options)
    put(store, numbers)
    assert store.flush(60)
    store.close()
