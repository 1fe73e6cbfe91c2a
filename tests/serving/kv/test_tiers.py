"""vLLM with KV tiers says what vLLM says, whatever happens to the tiers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tiermem.layer.pool import create_pool
from tiermem.serving.kv.steps import Plan

from tests.serving.kv.engines import (
    BLOCK_BYTES,
    BLOCK_TOKENS,
    SESSIONS,
    TURNS,
    answer,
    check_nothing_is_held,
    converse,
    crowd,
    engine,
    keys_of,
    store_of_engine,
    tiers,
    words,
)


def test_memory_and_ssd_have_the_history(plain: list[list[int]], file: Path) -> None:
    """Memory holds two thirds of what was said: the rest comes from SSD, by way of memory."""
    with engine(tiers(file, memory_blocks=14, restore="always")) as llm:
        assert converse(llm) == plain
        store = store_of_engine()
        check_nothing_is_held(store)
        counts = store.counters.snapshot()
        assert counts["memory"]["hits"] >= 1
        assert counts["ssd"]["hits"] >= 1
        hits = counts["memory"]["hits"] + counts["ssd"]["hits"]
        assert counts["memory"]["restored"] == hits
        # Nothing was computed twice: what no tier had is what was new, two blocks a turn.
        assert counts["memory"]["misses"] == SESSIONS * TURNS * 2
        assert store.memory.used_blocks <= 14


def test_cxl_memory_has_what_left_memory(plain: list[list[int]]) -> None:
    cxl = {
        "capacity": 64 * BLOCK_BYTES,
        "emulated": {"bandwidth_Bps": 30 * 10**9, "latency_ns": 250},
    }
    with engine(tiers(None, memory_blocks=14, restore="always", cxl=cxl)) as llm:
        assert converse(llm) == plain
        store = store_of_engine()
        check_nothing_is_held(store)
        assert store.counters.get("cxl", "hits") >= 1
        assert store.counters.get("memory", "misses") == SESSIONS * TURNS * 2
        assert store.memory.used_blocks <= 14
        told = counter("vllm:tiermem_kv_events_total", tier="cxl", event="hits")
        assert told == store.counters.get("cxl", "hits")
        for name in ("events_total", "capacity_bytes", "used_bytes"):
            (where,) = labels_of(f"vllm:tiermem_kv_{name}", "where", tier="cxl")
            assert where.startswith("emulated 30 GB/s 250 ns on")


def test_nothing_is_restored_where_all_of_a_prompt_has_to_be_computed(
    plain: list[list[int]], file: Path
) -> None:
    """Probabilities of its tokens are asked for. What it makes is there for others."""
    from vllm import SamplingParams

    def read() -> list[int]:
        counters = store.counters
        hits = [counters.get(tier, "hits") for tier in ("memory", "ssd")]
        return [*hits, counters.get("ssd", "bytes_out")]

    history = plain[0][:-6]
    params = SamplingParams(temperature=0, max_tokens=6, ignore_eos=True, prompt_logprobs=0)
    with engine(tiers(file, memory_blocks=14, restore="always")) as llm:
        store = store_of_engine()
        for _ in range(2):
            before = read()
            (output,) = llm.generate({"prompt_token_ids": history}, params, use_tqdm=False)
            assert list(output.outputs[0].token_ids) == plain[0][-6:]
            assert len(output.prompt_logprobs) == len(history)
            assert read() == before
            # So that what is asked for again is not in the engine any more, nor in memory.
            flood(llm)
            check_nothing_is_held(store)
        before = read()
        assert answer(llm, history) == plain[0][-6:]
        assert all(now > then for now, then in zip(read()[1:], before[1:], strict=True))


def test_a_new_process_goes_on_from_ssd(plain: list[list[int]], file: Path) -> None:
    with engine(tiers(file)) as llm:
        store = store_of_engine()
        history = plain[1][:-6]
        assert answer(llm, history) == plain[1][-6:]
        assert store.counters.get("ssd", "hits") == (len(history) - 1) // BLOCK_TOKENS
        check_nothing_is_held(store)

        # The same engine, and a request that comes while others decode: it is restored beside.
        spy = Spy(llm)
        both = together(llm, plain[0][:70], plain[2][:-6])
        assert both == (plain[0][70:76], plain[2][-6:])
        assert True in spy.was_background

        for is_background in (False, True):
            check_corruption(llm, plain, is_background)
        check_nothing_is_held(store)


def test_a_reset_while_a_request_runs_saves_nothing_until_one_finds_the_engine_empty(
    plain: list[list[int]],
) -> None:
    """vLLM keeps what the request has computed, with weights of before as it may be."""
    from vllm import SamplingParams

    with engine(tiers(None, memory_blocks=40, restore="always")) as llm:
        running, store = llm.llm_engine, store_of_engine()
        params = SamplingParams(temperature=0, max_tokens=70, ignore_eos=True)
        running.add_request("running", {"prompt_token_ids": plain[0][:70]}, params)
        for _ in range(3):
            running.step()
        assert store.memory.used_blocks >= 1
        assert not running.reset_prefix_cache(reset_connector=True)
        while running.has_unfinished_requests():
            running.step()
        assert answer(llm, plain[0][:70]) == plain[0][70:76]
        assert store.memory.used_blocks == 0
        assert running.reset_prefix_cache(reset_connector=True)
        assert converse(llm) == plain
        assert store.counters.get("memory", "hits") >= 1


def test_requests_that_are_preempted_go_on_from_the_tiers(
    said_plainly: tuple[list[list[int]], list[list[int]]],
) -> None:
    with engine(tiers(None, memory_blocks=30)) as llm:
        store = store_of_engine()
        assert crowd(llm) == said_plainly[1]
        scheduler = llm.llm_engine.engine_core.engine_core.scheduler
        assert scheduler.connector._requests == {}
        assert counter("vllm:num_preemptions_total") >= 1
        assert store.counters.get("memory", "restored") >= 1
        check_nothing_is_held(store)
        told = {
            (tier, event): counter("vllm:tiermem_kv_events_total", tier=tier, event=event)
            for tier, event in (("memory", "hits"), ("memory", "stored"), ("memory", "bytes_out"))
        }
        for (tier, event), value in told.items():
            assert 0 < value <= store.counters.get(tier, event)
        used, capacity = (
            counter(f"vllm:tiermem_kv_{what}_bytes", tier="memory") for what in ("used", "capacity")
        )
        assert used == store.memory.used_blocks * BLOCK_BYTES
        assert capacity == store.memory.blocks_max * BLOCK_BYTES


def counter(name: str, **labels: str) -> float:
    from prometheus_client import REGISTRY

    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def labels_of(name: str, label: str, **labels: str) -> set[str]:
    from prometheus_client import REGISTRY

    return {
        sample.labels[label]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


class Spy:
    """Looks at the plans of steps as they go by."""

    def __init__(self, llm: Any) -> None:
        scheduler = llm.llm_engine.engine_core.engine_core.scheduler
        sessions = scheduler.connector._sessions
        self.was_background: list[bool] = []
        plan_step = sessions.plan

        def plan(scheduled: Any) -> Plan:
            made: Plan = plan_step(scheduled)
            self.was_background += [one.is_background for one in made.loads]
            return made

        sessions.plan = plan


def together(llm: Any, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    """What the model says to both, where the second comes while the first is answered. Both fit
    into the engine's own memory."""
    from vllm import SamplingParams

    def ask(name: str, prompt: list[int], tokens: int) -> None:
        params = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True)
        core.add_request(name, {"prompt_token_ids": prompt}, params)

    def step() -> None:
        for output in core.step():
            answers[output.request_id] = list(output.outputs[0].token_ids)

    core = llm.llm_engine
    answers: dict[str, list[int]] = {"first": []}
    ask("first", first, 40)
    while len(answers["first"]) < 2:
        step()
    ask("second", second, 6)
    while core.has_unfinished_requests():
        step()
    return answers["first"][:6], answers["second"]


def flood(llm: Any) -> None:
    """So much else that vLLM's own cache has nothing of what was before."""
    for number in (8, 9):
        answer(llm, words(number, 0) * 4, 1)


def check_corruption(llm: Any, plain: list[list[int]], is_background: bool) -> None:
    """A block in memory changes: it is found out, computed again, and the answer is the same."""
    store = store_of_engine()
    history = plain[1][:-6]
    answer(llm, history)
    flood(llm)
    block = store.memory.pin(keys_of(llm, history)[2])
    assert block is not None
    from tiermem.serving.kv.record import memory_at

    at = store.shape.header_bytes + 17 * store.shape.piece_bytes + 99
    memory_at(block.address, store.shape.bytes)[at] ^= 4
    store.memory.unpin([block])
    before = store.counters.get("memory", "corrupted")
    if is_background:
        assert together(llm, plain[0][:70], history)[1] == plain[1][-6:]
    else:
        assert answer(llm, history) == plain[1][-6:]
    assert store.counters.get("memory", "corrupted") == before + 1
    # It was computed again and stored again.
    flood(llm)
    assert answer(llm, history) == plain[1][-6:]
    assert store.counters.get("memory", "corrupted") == before + 1


SHARER = """
import sys
from pathlib import Path
from tests.serving.kv.engines import converse, engine, store_of_engine, tiers

pool = {"path": sys.argv[1], "host": 0, "capacity": "64MiB"}
with engine(tiers(None, pool=pool)) as llm:
    converse(llm, turns=2)
    assert store_of_engine().flush(30)
    print("said", flush=True)
    sys.stdin.read()
"""


def test_sessions_go_on_at_another_host(plain: list[list[int]], tmp_path: Path) -> None:
    """Two engines that live at once share a pool; all that the first one computed is found."""
    path = tmp_path / "pool"
    create_pool(path, hosts=2, size=128 << 20)
    other = subprocess.Popen(
        [sys.executable, "-c", SHARER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert "said\n" in iter(other.stdout.readline, "")
    pool = {"path": str(path), "host": 1, "capacity": "32MiB"}
    with engine(tiers(None, memory_blocks=24, pool=pool, restore="always")) as llm:
        for history in plain:
            assert answer(llm, history[:-6]) == history[-6:]
        store = store_of_engine()
        assert store.counters.get("pool", "hits") == SESSIONS * 2 * 76 // BLOCK_TOKENS - 2
        check_nothing_is_held(store)
        assert store.counters.get("pool", "stored") >= SESSIONS
    other.communicate()
    assert other.returncode == 0
