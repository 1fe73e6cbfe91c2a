"""What vAttention's memory costs: how fast it is committed, and how much of it is wasted."""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from tiermem.layer.arena import create_arena
from tiermem.serving.vattention import (
    PAGE_GROUPS_BYTES,
    ArenaPages,
    KvLayout,
    MemoryFile,
    PrivateMemory,
    init,
)
from tiermem.serving.vattention.sources import Source

# SmolLM2-135M's in fp32: 60 tensors of 768 bytes a token.
SMOLLM2 = KvLayout(layers=30, kv_heads=3, head_dim=64, item_bytes=4, context_tokens=8192, batch=1)
NEW, COLD, KEPT = "new memory", "memory file", "memory file, kept"
ARENA = "arena's pages"
SOURCES = (NEW, COLD, KEPT, ARENA)


@dataclass(frozen=True)
class Commit:
    """How fast a source's memory appears under a request that grows by a block a step."""

    source: str
    group_bytes: int
    bytes_per_s: float


@dataclass(frozen=True)
class Waste:
    """Memory without a token in it, as a share of all that a set of requests has."""

    cache: str
    group_bytes: int
    share: float


def page_fault_rate(size_bytes: int, rounds: int) -> float:
    """Bytes a second that a thread gets by touching an anonymous mapping, page by page: the
    best of so many rounds, for what else runs only takes time away."""
    return max(_touch(size_bytes) for _ in range(rounds))


def commit_rates(size_bytes: int, rounds: int) -> list[Commit]:
    """Every source and page group: the best of so many rounds."""
    return [
        Commit(name, group_bytes, _commit_rate(name, group_bytes, size_bytes, rounds))
        for name in SOURCES
        for group_bytes in PAGE_GROUPS_BYTES
    ]


def waste(lengths: Sequence[int], layout: KvLayout = SMOLLM2) -> list[Waste]:
    """Of requests of so many tokens, in either layout, and what others would waste.

    `group_bytes`: a paged cache's blocks of 16 tokens are so many bytes in one tensor; a
    cache of the whole context is one piece.
    """
    used = sum(lengths) * layout.token_bytes * layout.tensors
    found = []
    for together in (False, True):
        for group_bytes in PAGE_GROUPS_BYTES:
            one = replace(layout, group_bytes=group_bytes, layers_together=together)
            lost = sum(map(one.waste_bytes, lengths))
            name = "vAttention, layers together" if together else "vAttention"
            found.append(Waste(name, group_bytes, lost / (lost + used)))
    paged = sum(-length % 16 for length in lengths) / sum(
        -(-length // 16) * 16 for length in lengths
    )
    found.append(Waste("paged, 16 tokens", 16 * layout.token_bytes, paged))
    whole = layout.context_tokens * len(lengths)
    found.append(
        Waste("whole context", layout.context_tokens * layout.token_bytes, 1 - sum(lengths) / whole)
    )
    return found


def _touch(size_bytes: int) -> float:
    with mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        pages = np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE]
        begin = time.perf_counter()
        pages[:] = 1
        seconds = time.perf_counter() - begin
        del pages
    return size_bytes / seconds


def _commit_rate(name: str, group_bytes: int, size_bytes: int, rounds: int) -> float:
    layout = replace(SMOLLM2, group_bytes=group_bytes)
    blocks = min(size_bytes // layout.block_bytes, layout.row_blocks)
    rates = []
    with (
        _source(name, blocks * layout.block_bytes) as source,
        init(layout, source=source, ahead=None) as kv,
    ):
        # What is kept has to be there first.
        for _ in range(rounds + (name == KEPT)):
            req_id = kv.alloc_reqid()
            begin = time.perf_counter()
            for block in range(1, blocks + 1):
                kv.step({req_id: layout.tokens_in(block)})
            rates.append(
                kv.usage.mapped_blocks * layout.block_bytes / (time.perf_counter() - begin)
            )
            kv.free_reqid(req_id)
            kv.allocator.reclaim()
    return max(rates[-rounds:])


@contextmanager
def _source(name: str, size_bytes: int) -> Iterator[Source]:
    if name == NEW:
        yield PrivateMemory(size_bytes)
        return
    if name != ARENA:
        yield MemoryFile(size_bytes, keeps=name == KEPT)
        return
    with (
        create_arena("bench-vattention", size_bytes, tier="fastest") as arena,
        arena.allocate(size_bytes) as buffer,
    ):
        yield ArenaPages(buffer)
