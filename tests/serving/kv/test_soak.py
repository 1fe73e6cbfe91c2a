"""Chats without end, through all tiers, at capacity: nothing grows.

200 requests as a test; TIERMEM_SOAK_REQUESTS=2000 for as many as one likes. After each
hundred, when nobody is served, everything is measured that could grow.

It runs in a process of its own: oneDNN, with which vLLM multiplies matrices, looks only once
at how many compiled products it may keep.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from tiermem.layer.pool import create_pool
from tiermem.serving.kv.store import KvStore

from tests.serving.fresh_process import in_fresh_process
from tests.serving.kv.chats import Chat, chat, hold
from tests.serving.kv.engines import (
    BLOCK_BYTES,
    check_nothing_is_held,
    engine,
    store_of_engine,
    tiers,
)

FLASHGEN = "tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler"
REQUESTS = int(os.environ.get("TIERMEM_SOAK_REQUESTS", "200"))
A_ROUND = 50 if REQUESTS < 1000 else 100
AT_ONCE = 8
MEMORY_BLOCKS, CXL_BLOCKS, SSD_PLACES, POOL_BLOCKS = 14, 10, 30, 16
SAMPLE = range(0, 12)
# That oneDNN keeps. It would keep 1024, of 330 kB each, one for every number of tokens that a
# step had and every shape of weights: vLLM alone would grow over a thousand requests.
ONEDNN_PRODUCTS = 16
# What a leak has to stay below. vLLM's own statistics fill up first: all of Python says so
# much only over a thousand requests and more.
LEAK_BYTES_A_REQUEST = 1024
# The same of the whole process, whose memory moves by some MB as snapshots of what Python holds
# come and go; over few requests no less than an eighth of a block can be told from that.
PROCESS_BYTES_A_REQUEST = 4096 if REQUESTS >= 1000 else BLOCK_BYTES // 8


@dataclass(frozen=True)
class Measured:
    """When nobody is served. python_bytes: all that Python code holds; own_bytes: what lines of
    this project have allocated of it."""

    requests: int
    anonymous_bytes: int
    python_bytes: int
    own_bytes: int
    objects: int
    threads: int
    fds: int
    memory_blocks: int
    cxl_blocks: int
    ssd_blocks: int
    file_bytes: int
    pool_bytes: int


@pytest.mark.timeout(300 + 2 * REQUESTS)
def test_nothing_grows_and_no_token_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(ONEDNN_PRODUCTS))
    check_is_flat(in_fresh_process(serve, tmp_path))


def serve(folder: Path) -> list[Measured]:
    """Chats as vLLM answers them without tiers, then the same and all others with them."""
    plainly = [soak_chat(number) for number in SAMPLE]
    with engine(None, max_num_seqs=AT_ONCE) as llm:
        hold(llm, plainly, AT_ONCE)
    create_pool(folder / "pool", hosts=1, entries=64, size=64 << 20)
    pool = {"path": str(folder / "pool"), "host": 0, "capacity": POOL_BLOCKS * BLOCK_BYTES}
    cxl = {
        "capacity": CXL_BLOCKS * BLOCK_BYTES,
        "emulated": {"bandwidth_Bps": 30 * 10**9, "latency_ns": 250},
    }
    extra: dict[str, Any] = tiers(None, memory_blocks=MEMORY_BLOCKS, cxl=cxl, pool=pool)
    extra["ssd"] = {"path": str(folder / "kv"), "capacity": 4096 + SSD_PLACES * BLOCK_BYTES}
    tracemalloc.start()
    try:
        with engine(extra, scheduler_cls=FLASHGEN, max_num_seqs=AT_ONCE) as llm:
            measured = soak(llm, folder / "kv", plainly)
            check_all_was_used(llm)
    finally:
        tracemalloc.stop()
    return measured


def soak_chat(number: int) -> Chat:
    return chat(number, turns=6, words_most=60, answer_most=5, leaving=0.1)


def soak(llm: Any, file: Path, plainly: list[Chat]) -> list[Measured]:
    """Rounds of chats; the first ones are those that were answered plainly."""
    store = store_of_engine()
    numbers = count()
    sample = [soak_chat(number) for number in islice(numbers, len(plainly))]
    done = hold(llm, sample, AT_ONCE)
    assert [one.answers for one in sample] == [one.answers for one in plainly]
    found = [measure(store, file, done)]
    while done < REQUESTS:
        chats = (soak_chat(number) for number in numbers)
        done += hold(llm, until(chats, A_ROUND), AT_ONCE)
        check_nothing_is_held(store)
        found.append(measure(store, file, done))
    # All that they said in the beginning, once more: from wherever it is by now.
    sample = [soak_chat(number) for number in SAMPLE]
    hold(llm, sample, AT_ONCE)
    assert [one.answers for one in sample] == [one.answers for one in plainly]
    return found


def until(chats: Iterator[Chat], requests: int) -> Iterator[Chat]:
    """As many chats as have so many turns together."""
    while requests > 0:
        one = next(chats)
        requests -= len(one.turns)
        yield one


def measure(store: KvStore, file: Path, requests: int) -> Measured:
    assert store.disk is not None
    assert store.pool is not None
    assert store.cxl is not None
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    python_bytes, _ = tracemalloc.get_traced_memory()
    own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/tiermem/*")])
    found = Measured(
        requests=requests,
        anonymous_bytes=anonymous_bytes(),
        python_bytes=python_bytes,
        own_bytes=sum(trace.size for trace in own.traces),
        objects=len(gc.get_objects()),
        threads=threading.active_count(),
        fds=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        memory_blocks=store.memory.used_blocks,
        cxl_blocks=store.cxl.used_blocks,
        ssd_blocks=store.disk.used_blocks,
        file_bytes=file.stat().st_size,
        pool_bytes=store.pool.used_bytes,
    )
    print("SOAK", asdict(found), flush=True)
    return found


def anonymous_bytes() -> int:
    """Memory of this process that is no file's, in use now."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say")


def check_all_was_used(llm: Any) -> None:
    """Every tier was full and evicted, requests were preempted, promoted, and left."""
    counters = store_of_engine().counters
    for tier in ("memory", "cxl", "pool", "ssd"):
        assert counters.get(tier, "evicted") >= 1, tier  # type: ignore[arg-type]
        assert counters.get(tier, "hits") >= 1, tier  # type: ignore[arg-type]
    scheduler = llm.llm_engine.engine_core.engine_core.scheduler
    assert scheduler.flashgen_counts.promoted >= 1
    assert scheduler.flashgen_counts.preempted >= 1
    print("SOAK", counters.snapshot(), scheduler.flashgen_counts)


def check_is_flat(measured: list[Measured]) -> None:
    """From a quarter of the way on; before, caches and pools of memory fill."""
    settled = measured[len(measured) // 4 :]
    first = settled[0]
    for one in settled:
        assert (one.threads, one.fds) == (first.threads, first.fds)
        assert one.memory_blocks <= MEMORY_BLOCKS
        assert one.cxl_blocks <= CXL_BLOCKS
        assert one.ssd_blocks <= SSD_PLACES
        assert one.file_bytes <= 4096 + SSD_PLACES * BLOCK_BYTES
        assert one.pool_bytes <= POOL_BLOCKS * BLOCK_BYTES
    requests = [one.requests for one in settled]
    own = growth(requests, [one.own_bytes for one in settled])
    python = growth(requests, [one.python_bytes for one in settled])
    whole = growth(requests, [one.anonymous_bytes for one in settled])
    print(f"SOAK growth a request: own {own:.0f} B, Python {python:.0f} B, process {whole:.0f} B")
    assert own < LEAK_BYTES_A_REQUEST / 4
    assert whole < PROCESS_BYTES_A_REQUEST
    if REQUESTS >= 1000:
        assert python < LEAK_BYTES_A_REQUEST


def growth(requests: list[int], sizes: list[int]) -> float:
    """Of a request, by the median of the slopes between any two measurements (Theil and Sen)."""
    return median(
        (sizes[later] - sizes[at]) / (requests[later] - requests[at])
        for at in range(len(sizes))
        for later in range(at + 1, len(sizes))
    )


@pytest.mark.parametrize("leak_bytes", [0, LEAK_BYTES_A_REQUEST])
def test_a_leak_of_a_kibibyte_a_request_would_be_seen(leak_bytes: int) -> None:
    """Also in measurements that move by a MiB to and fro."""
    requests = list(range(500, 2001, 100))
    moves = [(at * 7919 % 13 - 6) << 17 for at in range(len(requests))]
    sizes = [5 << 30 for _ in requests]
    seen = [
        size + move + leak_bytes * asked
        for size, move, asked in zip(sizes, moves, requests, strict=True)
    ]
    assert (growth(requests, seen) >= LEAK_BYTES_A_REQUEST * 0.6) is bool(leak_bytes)
