"""The interface on real memory, with mapping ahead in its thread."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError, KernelError, NoSpaceError, TiermemError
from tiermem.serving.vattention import Ahead, KvLayout, MemoryFile, VAttention, init
from tiermem.serving.vattention.ahead import MappingThread
from tiermem.serving.vattention.allocator import Allocator

from tests.unit.serving.vattention.checked_mapper import CheckedMapper

LAYOUT = KvLayout(2, 1, 64, 4, context_tokens=4096, batch=4, group_bytes=64 << 10)
TOKENS = LAYOUT.tokens_in(1)
MEMORY = 40 * LAYOUT.block_bytes


def token(kv: VAttention, req_id: int, at: int) -> np.ndarray:
    """A token's bytes in the first tensor."""
    seen = np.frombuffer(kv.backend.buffer(), np.uint8)
    begin = req_id * LAYOUT.row_bytes + at * LAYOUT.token_bytes
    return seen[begin : begin + LAYOUT.token_bytes]


def test_requests_come_and_go_and_each_keeps_its_own_tokens() -> None:
    random = np.random.default_rng(7)
    refused = 0
    with init(LAYOUT, memory_bytes=MEMORY, ahead=Ahead(steps=TOKENS, blocks=1)) as kv:
        running: dict[int, dict[int, int]] = {}  # what was stored, by place
        for value in range(1, 120):
            if kv.can_alloc(1) and random.random() < 0.4:
                running[kv.alloc_reqid(1)] = {}
            for req_id, stored in list(running.items()):
                at = max(stored, default=0) + int(random.integers(1, 2 * TOKENS))
                try:
                    if at >= LAYOUT.context_tokens:
                        raise NoSpaceError("ends")
                    kv.step({req_id: at + 1})
                except NoSpaceError:
                    refused += at < LAYOUT.context_tokens
                    kv.free_reqid(req_id)
                    del running[req_id]
                    continue
                token(kv, req_id, at)[:] = stored[at] = value
                for place, there in stored.items():
                    assert (token(kv, req_id, place) == there).all()
        assert kv.usage.blocks == 40
    assert refused, "memory was never short"


def test_the_next_steps_find_their_memory_mapped() -> None:
    with init(LAYOUT, memory_bytes=MEMORY, ahead=Ahead(steps=10, blocks=2)) as kv:
        assert kv.mapping_ahead is not None
        req_id = kv.alloc_reqid(TOKENS)
        assert kv.mapping_ahead.wait(10)
        mapped = [kv.step({req_id: tokens}) for tokens in (TOKENS - 1, TOKENS)]
        assert kv.mapping_ahead.wait(10)
        for tokens in range(TOKENS + 1, 3 * TOKENS):
            mapped.append(kv.step({req_id: tokens}))
            assert kv.mapping_ahead.wait(10)
        assert sum(mapped) == 0
        assert kv.mapping_ahead.mapped_blocks == kv.usage.mapped_blocks == 4


def test_a_step_waits_for_one_block_of_the_thread_at_most() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class SlowMapper(CheckedMapper):
        def map(self, req_id: int, first: int, blocks: int) -> None:
            super().map(req_id, first, blocks)
            if threading.current_thread().name == "mapping ahead":
                begun.set()
                assert go_on.wait(10)

    mapper = SlowMapper(4, 40)
    allocator = Allocator(LAYOUT, 40, mapper)
    req_id = allocator.alloc_reqid(TOKENS)
    thread = MappingThread(allocator, Ahead(steps=8 * TOKENS, blocks=8))
    thread.wake()
    assert begun.wait(10)
    stepping = threading.Thread(target=allocator.step, args=({req_id: TOKENS},))
    stepping.start()
    go_on.set()
    stepping.join(10)
    assert not stepping.is_alive()
    assert thread.wait(10)
    thread.close()
    assert mapper.mapped[req_id] == 9
    assert {blocks for *_, blocks in mapper.calls} == {1}


def test_an_error_ahead_is_the_steps_own_where_it_comes_again() -> None:
    mapper = CheckedMapper(4, 40)
    allocator = Allocator(LAYOUT, 40, mapper)
    req_id = allocator.alloc_reqid(1)
    mapper.calls_until_failure = 0
    thread = MappingThread(allocator, Ahead())
    thread.wake()
    assert thread.wait(10)
    assert isinstance(thread.last_error, KernelError)
    with pytest.raises(KernelError):
        allocator.step({req_id: 1})
    mapper.calls_until_failure = None
    assert allocator.step({req_id: 1}) == 1
    thread.close()


def test_an_error_in_a_block_leaves_no_memory_when_its_tensors_are_gone() -> None:
    source = MemoryFile(MEMORY)
    kept: list[np.ndarray] = []

    def fail() -> None:
        with init(LAYOUT, source=source) as kv:
            req_id = kv.alloc_reqid(1)
            kv.step({req_id: 1})
            kept.append(token(kv, req_id, 0))
            raise KeyError("of the client's own")

    with pytest.raises(KeyError):
        fail()
    kept[0][:] = 1
    assert is_mapped()
    kept.clear()
    assert not is_mapped()


def test_where_it_cannot_be_closed_it_goes_on() -> None:
    kv = init(LAYOUT, source=MemoryFile(MEMORY), ahead=Ahead(steps=TOKENS, blocks=1))
    req_id = kv.alloc_reqid(1)
    kv.step({req_id: 1})
    view = token(kv, req_id, 0)
    with pytest.raises(TiermemError, match="in use"):
        kv.close()
    view[:] = 1
    assert kv.mapping_ahead is not None
    assert kv.step({req_id: TOKENS}) == 0
    assert kv.mapping_ahead.wait(10)
    assert kv.allocator.mapped_blocks(req_id) == 2
    del view
    kv.close()
    assert not is_mapped()
    kv.close()
    assert kv.mapping_ahead is None


def is_mapped() -> bool:
    return "tiermem-kv" in Path("/proc/self/maps").read_text()


def test_wrong_parameters_are_named_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of memory_bytes, source and backend"):
        init(LAYOUT)
    with pytest.raises(ConfigError, match="one of memory_bytes, source and backend"):
        init(LAYOUT, memory_bytes=MEMORY, source=MemoryFile(MEMORY))
    with pytest.raises(ConfigError, match="memory for 0 blocks: one takes 262144 bytes"):
        init(LAYOUT, source=MemoryFile(LAYOUT.block_bytes - 1))
    with pytest.raises(ConfigError, match="steps = 0, blocks = 2: must be at least 1 each"):
        Ahead(steps=0)
    assert not is_mapped()
