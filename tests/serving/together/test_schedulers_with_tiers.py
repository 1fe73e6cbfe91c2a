"""FlashGen's order with FlashGen's cache, and PrefillOnly's order with it, in one engine.

Requests wait for KV that comes from SSD, load it beside decoding ones, are promoted,
preempted, and go on from the tiers; what they are answered is what vLLM answers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.kv.chats import Chat, chat, hold
from tests.serving.kv.engines import (
    BLOCK_TOKENS,
    ENGINE_BLOCKS,
    check_nothing_is_held,
    engine,
    store_of_engine,
    tiers,
)

FLASHGEN = "tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler"
PREFILL_ONLY = "tiermem.serving.schedulers.vllm_prefill_only.PrefillOnlyScheduler"
# One block is vLLM's own.
USABLE_BLOCKS = ENGINE_BLOCKS - 1
AT_ONCE = 8


def chats() -> list[Chat]:
    return [chat(number, turns=3) for number in range(12)]


@pytest.fixture(scope="module")
def plainly() -> Iterator[list[Chat]]:
    """What vLLM answers without any plugin."""
    found = chats()
    with engine(None, max_num_seqs=AT_ONCE) as llm:
        hold(llm, found, AT_ONCE)
    yield found


class Seen:
    """Looks at a scheduler's steps as they go by; counted are those that compute something."""

    def __init__(self, llm: Any) -> None:
        self.scheduler = llm.llm_engine.engine_core.engine_core.scheduler
        self.steps = 0
        self.held_most = 0
        self.loading_most = 0
        self.preempted: set[str] = set()
        self.restored_again: set[str] = set()
        self.first_seen: dict[str, int] = {}
        self.lived_longest = 0
        self._watch_schedule()
        self._watch_preemptions()
        self._watch_admissions()

    def _watch_schedule(self) -> None:
        schedule = self.scheduler.schedule
        pool = self.scheduler.kv_cache_manager.block_pool

        def watched(*args: Any, **kwargs: Any) -> Any:
            output = schedule(*args, **kwargs)
            # Where all wait for SSD, steps come and go as fast as they like.
            self.steps += output.total_num_scheduled_tokens > 0
            held = USABLE_BLOCKS - pool.get_num_free_blocks()
            self.held_most = max(self.held_most, held)
            self.loading_most = max(self.loading_most, len(self.scheduler.kv_holding_waiting))
            for key in self.scheduler.requests:
                lived = self.steps - self.first_seen.setdefault(key, self.steps)
                self.lived_longest = max(self.lived_longest, lived)
            return output

        self.scheduler.schedule = watched

    def _watch_preemptions(self) -> None:
        preempt = self.scheduler._preempt_request

        def watched(request: Any, *args: Any, **kwargs: Any) -> None:
            self.preempted.add(request.request_id)
            preempt(request, *args, **kwargs)

        self.scheduler._preempt_request = watched

    def _watch_admissions(self) -> None:
        connector = self.scheduler.connector
        update = connector.update_state_after_alloc

        def watched(request: Any, blocks: Any, external_tokens: int) -> None:
            if external_tokens and request.request_id in self.preempted:
                self.restored_again.add(request.request_id)
            update(request, blocks, external_tokens)

        connector.update_state_after_alloc = watched


@pytest.mark.parametrize("restore", ["always", "auto"])
def test_flashgens_order_with_its_cache(plainly: list[Chat], tmp_path: Path, restore: str) -> None:
    """Memory has room for less than all chats: much comes from SSD."""
    extra = tiers(tmp_path / "kv", memory_blocks=24, restore=restore)
    mine = chats()
    with engine(extra, scheduler_cls=FLASHGEN, max_num_seqs=AT_ONCE) as llm:
        seen = Seen(llm)
        hold(llm, mine, AT_ONCE)
        assert [one.answers for one in mine] == [one.answers for one in plainly]
        counts = seen.scheduler.flashgen_counts
        assert counts.promoted >= 1
        assert counts.preempted >= 1
        store = store_of_engine()
        if restore == "always":
            assert store.counters.get("ssd", "hits") >= 1
            assert seen.restored_again, "what was preempted goes on from the tiers"
            assert seen.loading_most >= 1, "some were restored beside those that decode"
        assert seen.held_most <= USABLE_BLOCKS
        # Nobody waits for more than those before it take.
        assert seen.lived_longest <= seen.steps / 2
        check_nothing_is_held(store)
        check_engine_is_empty(seen.scheduler)


def check_engine_is_empty(scheduler: Any) -> None:
    assert scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == USABLE_BLOCKS
    assert not scheduler.requests
    assert not scheduler.connector._requests
    assert not scheduler.connector._sessions._sessions


def test_prefill_onlys_order_with_the_cache(plainly: list[Chat], tmp_path: Path) -> None:
    mine = chats()
    extra = tiers(tmp_path / "kv", memory_blocks=24, restore="always")
    with engine(extra, scheduler_cls=PREFILL_ONLY) as llm:
        seen = Seen(llm)
        hold(llm, mine, AT_ONCE)
        assert [one.answers for one in mine] == [one.answers for one in plainly]
        store = store_of_engine()
        assert store.counters.get("ssd", "hits") >= 1
        assert store.counters.get("memory", "restored") >= 1
        check_nothing_is_held(store)
        check_engine_is_empty(seen.scheduler)


def test_a_prefill_that_is_restored_is_a_short_one() -> None:
    """It has more tokens than the other, and fewer to compute."""
    extra = tiers(None, memory_blocks=32, restore="always")
    with engine(extra, scheduler_cls=PREFILL_ONLY) as llm:
        for name, tokens in (("long", 290), ("flood", 300), ("flood too", 310)):
            add(llm, name, tokens, 1)
            assert list(done(llm)) == [name]
        add(llm, "short", 100, 1)
        add(llm, "long", 300, 1)
        assert list(done(llm)) == ["long", "short"]
        assert store_of_engine().counters.get("memory", "hits") == 290 // BLOCK_TOKENS


def done(llm: Any) -> Iterator[str]:
    """Who is done, as it comes."""
    while llm.llm_engine.has_unfinished_requests():
        for output in llm.llm_engine.step():
            if output.finished:
                yield output.request_id


def test_nobody_is_preempted_for_one_whose_kv_is_on_its_way() -> None:
    """It would be in vain: who waits for SSD cannot begin, and makes room when it can."""
    with engine(tiers(None, memory_blocks=24), scheduler_cls=FLASHGEN, max_num_seqs=8) as llm:
        scheduler = llm.llm_engine.engine_core.engine_core.scheduler
        far = hold_back(scheduler.connector, "long")
        add(llm, "first", 200, 4)
        llm.llm_engine.step()
        add(llm, "long", 300, 2)
        add(llm, "short", 40, 60)
        for _ in range(12):
            llm.llm_engine.step()
        # The first one is done; without the short one, the long one would fit.
        assert running(scheduler) == ["short"]
        assert scheduler.flashgen_counts.preempted == 0
        far.clear()
        llm.llm_engine.step()
        assert running(scheduler) == ["long"]
        assert scheduler.flashgen_counts.preempted == 1
        while llm.llm_engine.has_unfinished_requests():
            llm.llm_engine.step()


def hold_back(connector: Any, name: str) -> set[str]:
    """As long as the name is in the set that comes back, its KV is said to be on its way."""
    far = {name}
    bring_near, match = connector.bring_near, connector.get_num_new_matched_tokens

    def held_near(request: Any, computed: int) -> Any:
        return None if named(request) in far else bring_near(request, computed)

    def held_match(request: Any, computed: int) -> Any:
        return (None, False) if named(request) in far else match(request, computed)

    connector.bring_near, connector.get_num_new_matched_tokens = held_near, held_match
    return far


def add(llm: Any, name: str, prompt_tokens: int, output_tokens: int) -> None:
    from vllm import SamplingParams

    params = SamplingParams(temperature=0, max_tokens=output_tokens, ignore_eos=True)
    seed = sum(name.encode()) * 7919
    prompt = [1000 + (seed + at * 31) % 40000 for at in range(prompt_tokens)]
    llm.llm_engine.add_request(name, {"prompt_token_ids": prompt}, params)


def running(scheduler: Any) -> list[str]:
    return [named(request) for request in scheduler.running]


def named(request: Any) -> str:
    return str(request.request_id).split("-", 1)[0]
