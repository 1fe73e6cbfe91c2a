"""Which reqId a request gets, what a step maps, and whose memory is taken when it is short."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tiermem.errors import ConfigError, KernelError, NoSpaceError, TiermemError
from tiermem.serving.vattention.allocator import Allocator
from tiermem.serving.vattention.layout import KvLayout

from tests.unit.serving.vattention.checked_mapper import CheckedMapper

# A block of one token in either tensor: tokens and blocks are the same number.
TOKEN_A_BLOCK = KvLayout(1, 16, 1024, 4, context_tokens=12, batch=4, group_bytes=64 << 10)
# Two blocks hold three tokens, so that the middle one lies in both.
UNEVEN = KvLayout(1, 1, 10922, 4, context_tokens=12, batch=4, group_bytes=64 << 10)


def _make(blocks: int, layout: KvLayout = TOKEN_A_BLOCK) -> tuple[Allocator, CheckedMapper]:
    mapper = CheckedMapper(layout.batch, blocks)
    return Allocator(layout, blocks, mapper), mapper


def test_memory_comes_as_tokens_do() -> None:
    allocator, mapper = _make(10)
    req_id = allocator.alloc_reqid(3)
    assert mapper.mapped == [0, 0, 0, 0]
    assert allocator.step({req_id: 3}) == 3
    assert allocator.step({req_id: 4}) == 1
    assert allocator.step({req_id: 4}) == 0
    assert mapper.calls == [("map", 0, 0, 3), ("map", 0, 3, 1)]


def test_what_a_request_leaves_is_the_next_ones() -> None:
    allocator, mapper = _make(10)
    req_id = allocator.alloc_reqid(5)
    allocator.step({req_id: 5})
    allocator.free_reqid(req_id)
    assert mapper.mapped[req_id] == 5
    assert allocator.alloc_reqid(4) == req_id
    assert allocator.step({req_id: 5}) == 0


@pytest.mark.parametrize(("tokens", "chosen"), [(1, 2), (2, 2), (3, 0), (5, 1), (6, 1)])
def test_the_smallest_mapping_that_suffices_is_taken_else_the_largest(
    tokens: int, chosen: int
) -> None:
    allocator, _ = _make(20)
    for req_id, length in enumerate((3, 5, 2)):
        allocator.alloc_reqid()
        allocator.step({req_id: length})
    for req_id in range(3):
        allocator.free_reqid(req_id)
    assert allocator.alloc_reqid(tokens) == chosen


def test_short_memory_is_taken_from_the_highest_reqid_down_and_no_more_than_needed() -> None:
    allocator, mapper = _make(10)
    for req_id in range(3):
        allocator.alloc_reqid()
        allocator.step({req_id: 3})
    for req_id in range(3):
        allocator.free_reqid(req_id)
    fourth = allocator.alloc_reqid(6)
    assert fourth == 0
    allocator.step({fourth: 8})
    assert mapper.mapped == [8, 2, 0, 0]
    assert mapper.calls[3:] == [("unmap", 2, 0, 3), ("unmap", 1, 2, 1), ("map", 0, 3, 5)]


def test_a_running_request_keeps_what_it_needs_and_gives_what_is_mapped_ahead() -> None:
    allocator, mapper = _make(6)
    first, second = allocator.alloc_reqid(2), allocator.alloc_reqid(2)
    allocator.step({first: 2, second: 2})
    while allocator.map_ahead(steps=4, blocks=1):
        pass
    assert mapper.mapped[:2] == [3, 3]
    allocator.step({first: 4})
    assert mapper.mapped[:2] == [4, 2]
    with pytest.raises(NoSpaceError, match="7 blocks of 131072 bytes are needed"):
        allocator.step({second: 3})
    assert allocator.tokens(second) == 2


def test_admission_leaves_one_percent_to_those_that_run() -> None:
    layout = KvLayout(1, 16, 1024, 4, context_tokens=200, batch=4, group_bytes=64 << 10)
    allocator, _ = _make(200, layout)
    assert not allocator.can_alloc(199)
    first = allocator.alloc_reqid(150)
    with pytest.raises(NoSpaceError, match="49 blocks are wanted and 2 stay free"):
        allocator.alloc_reqid(49)
    # Nothing is mapped yet, and what is promised is not given twice.
    second = allocator.alloc_reqid(48)
    assert allocator.step({first: 151, second: 49}) == 200


def test_all_reqids_taken() -> None:
    allocator, _ = _make(100)
    for _ in range(4):
        allocator.alloc_reqid(1)
    with pytest.raises(NoSpaceError, match="all 4 reqIds are taken"):
        allocator.alloc_reqid(1)


def test_what_is_mapped_ahead_is_of_the_request_that_needs_it_first() -> None:
    allocator, mapper = _make(40, UNEVEN)
    first, second = allocator.alloc_reqid(), allocator.alloc_reqid()
    allocator.step({first: 2, second: 3})
    assert mapper.mapped[:2] == [2, 2]
    assert allocator.map_ahead(steps=1, blocks=2)
    assert mapper.mapped[:2] == [2, 3]


def test_a_row_is_readable_up_to_the_longest_of_its_batch() -> None:
    allocator, mapper = _make(12)
    req_id = allocator.alloc_reqid()
    allocator.step({req_id: 3})
    allocator.cover(req_id, 6)
    allocator.cover(req_id, 5)
    assert mapper.calls[1:] == [("cover", req_id, 3, 3)]
    allocator.step({req_id: 5})
    assert mapper.is_readable(req_id, 6)


def test_what_is_not_a_requests_is_refused() -> None:
    allocator, _ = _make(10)
    req_id = allocator.alloc_reqid()
    with pytest.raises(TiermemError, match="13 tokens: a request has 0 to 12"):
        allocator.step({req_id: 13})
    with pytest.raises(TiermemError, match="reqId 3: is no request's"):
        allocator.step({3: 1})
    with pytest.raises(TiermemError, match="reqId 4: there are 0 to 3"):
        allocator.free_reqid(4)
    allocator.free_reqid(req_id)
    with pytest.raises(TiermemError, match="reqId 0: is no request's"):
        allocator.free_reqid(req_id)
    with pytest.raises(ConfigError, match="memory for 0 blocks: one takes 131072 bytes"):
        _make(0)


def test_a_step_that_the_kernel_fails_can_be_tried_again() -> None:
    allocator, mapper = _make(10)
    first, second = allocator.alloc_reqid(2), allocator.alloc_reqid(2)
    mapper.calls_until_failure = 1
    with pytest.raises(KernelError, match="map block 0 of reqId 1"):
        allocator.step({first: 2, second: 2})
    assert [allocator.mapped_blocks(one) for one in (first, second)] == mapper.mapped[:2] == [2, 0]
    assert allocator.tokens(first) == 0
    mapper.calls_until_failure = None
    assert allocator.step({first: 2, second: 2}) == 2


def test_a_row_stays_readable_where_mapping_in_it_fails() -> None:
    """In a step and ahead of it."""
    allocator, mapper = _make(12)
    req_id = allocator.alloc_reqid()
    allocator.step({req_id: 2})
    allocator.cover(req_id, 6)
    cover = mapper.cover

    def cover_again(*blocks: int) -> None:
        mapper.calls_until_failure = None
        cover(*blocks)

    mapper.cover = cover_again  # type: ignore[method-assign]
    for act in (
        lambda: allocator.step({req_id: 5}),
        lambda: allocator.map_ahead(steps=4, blocks=1),
    ):
        mapper.calls_until_failure = 0
        with pytest.raises(KernelError):
            act()
        assert mapper.is_readable(req_id, 6)
    allocator.step({req_id: 7})
    assert mapper.mapped[req_id] == 7


def test_threads_share_it() -> None:
    allocator, mapper = _make(24)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            for length in range(1, 60):
                req_id = allocator.alloc_reqid()
                for tokens in range(length % 6):
                    allocator.step({req_id: tokens})
                    allocator.map_ahead(steps=3, blocks=2)
                allocator.free_reqid(req_id)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert allocator.usage.mapped_blocks == sum(mapper.mapped) <= 24


class AnyUse(RuleBasedStateMachine):
    """Whatever is done, in whatever order, against a plain model of who needs what."""

    @initialize(blocks=st.integers(1, 40), layout=st.sampled_from((TOKEN_A_BLOCK, UNEVEN)))
    def begin(self, blocks: int, layout: KvLayout) -> None:
        self.layout = layout
        self.allocator, self.mapper = _make(blocks, layout)
        self.active: dict[int, tuple[int, int]] = {}  # tokens, and those it was admitted with

    def needed(self, active: dict[int, tuple[int, int]]) -> int:
        return sum(self.layout.blocks_of(max(pair)) for pair in active.values())

    @rule(tokens=st.integers(0, 12))
    def alloc(self, tokens: int) -> None:
        wanted = self.layout.blocks_of(tokens)
        reserve = -(-self.mapper.blocks // 100)
        fits = self.needed(self.active) + wanted + reserve <= self.mapper.blocks
        allowed = fits and len(self.active) < self.layout.batch
        assert self.allocator.can_alloc(tokens) == allowed
        if not allowed:
            with pytest.raises(NoSpaceError):
                self.allocator.alloc_reqid(tokens)
            return
        inactive = {
            req_id: mapped
            for req_id, mapped in enumerate(self.mapper.mapped)
            if req_id not in self.active
        }
        enough = [mapped for mapped in inactive.values() if mapped >= wanted]
        chosen = self.allocator.alloc_reqid(tokens)
        assert inactive[chosen] == (min(enough) if enough else max(inactive.values()))
        self.active[chosen] = (0, tokens)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        before = list(self.mapper.mapped)
        req_id = data.draw(st.sampled_from(sorted(self.active)))
        self.allocator.free_reqid(req_id)
        del self.active[req_id]
        assert self.mapper.mapped == before

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sets(st.sampled_from(sorted(self.active)), min_size=1))
        tokens = {req_id: data.draw(st.integers(0, 12)) for req_id in sorted(chosen)}
        after = self.active | {
            req_id: (count, self.active[req_id][1]) for req_id, count in tokens.items()
        }
        before = list(self.mapper.mapped)
        if self.needed(after) > self.mapper.blocks:
            with pytest.raises(NoSpaceError):
                self.allocator.step(tokens)
            assert self.mapper.mapped == before
            return
        self.allocator.step(tokens)
        self.active = after
        for req_id, count in tokens.items():
            assert self.mapper.mapped[req_id] >= self.layout.blocks_of(count)
        self.check_whose_was_taken(before)

    def check_whose_was_taken(self, before: list[int]) -> None:
        after = self.mapper.mapped
        losers = [req_id for req_id in range(len(before)) if after[req_id] < before[req_id]]
        if losers:
            assert sum(after) == self.mapper.blocks, "taken without need"
        inactive = [req_id for req_id in range(len(before)) if req_id not in self.active]
        for loser in losers:
            spared = inactive if loser in self.active else [r for r in inactive if r > loser]
            assert not any(after[req_id] for req_id in spared), "taken from the wrong one"

    @precondition(lambda self: self.active)
    @rule(steps=st.integers(1, 12), blocks=st.integers(1, 3))
    def map_ahead(self, steps: int, blocks: int) -> None:
        before = list(self.mapper.mapped)
        mapped = self.allocator.map_ahead(steps, blocks)
        gained = [r for r, now in enumerate(self.mapper.mapped) if now > before[r]]
        assert len(gained) == mapped
        for req_id in gained:
            now = self.layout.blocks_of(max(self.active[req_id]))
            assert self.mapper.mapped[req_id] <= now + blocks
        assert all(self.mapper.mapped[req_id] >= before[req_id] for req_id in self.active), (
            "ahead of one request at another's cost"
        )

    @rule()
    def reclaim(self) -> None:
        before = sum(self.mapper.mapped)
        assert self.allocator.reclaim() == before - sum(self.mapper.mapped)
        for req_id, mapped in enumerate(self.mapper.mapped):
            needed = self.layout.blocks_of(max(self.active.get(req_id, (0, 0))))
            assert mapped <= needed

    @precondition(lambda self: self.active)
    @rule(data=st.data(), tokens=st.integers(0, 12))
    def cover(self, data: st.DataObject, tokens: int) -> None:
        req_id = data.draw(st.sampled_from(sorted(self.active)))
        self.allocator.cover(req_id, tokens)
        assert self.mapper.is_readable(req_id, self.layout.blocks_of(tokens))

    @invariant()
    def counts_are_what_is_mapped(self) -> None:
        usage = self.allocator.usage
        assert usage.mapped_blocks == sum(self.mapper.mapped)
        assert usage.needed_blocks == self.needed(self.active) <= usage.blocks
        for req_id, (tokens, _) in self.active.items():
            assert self.allocator.tokens(req_id) == tokens
            assert self.allocator.mapped_blocks(req_id) >= self.layout.blocks_of(tokens)


AnyUse.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
TestAnyUse = AnyUse.TestCase
