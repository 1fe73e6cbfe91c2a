"""Engines of vLLM with very little KV memory, driven step by step, and what is seen of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.smollm2 import model_folder

BLOCK_TOKENS = 32
# One block more is vLLM's own, and never holds anything.
USABLE_BLOCKS = 16


@dataclass
class Seen:
    """arrived: the requests, oldest first. tokens: of each, and how many of its prompt were
    cached. running, held_blocks: after each step's schedule."""

    arrived: list[str] = field(default_factory=list)
    tokens: dict[str, list[int]] = field(default_factory=dict)
    cached: dict[str, int] = field(default_factory=dict)
    running: list[list[str]] = field(default_factory=list)
    held_blocks: list[int] = field(default_factory=list)

    def first_step(self, key: str) -> int:
        return next(step for step, keys in enumerate(self.running) if key in keys)

    def last_step(self, key: str) -> int:
        return max(step for step, keys in enumerate(self.running) if key in keys)


@contextmanager
def engine(scheduler: str | None = None, **options: Any) -> Iterator[Any]:
    """vLLM's LLMEngine; of `scheduler`, None for vLLM's own."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    from vllm import LLM

    made: LLM | None = LLM(
        model=str(model_folder("float32")),
        dtype="float32",
        enforce_eager=True,
        block_size=BLOCK_TOKENS,
        num_gpu_blocks_override=USABLE_BLOCKS + 1,
        max_model_len=448,
        max_num_seqs=8,
        scheduler_cls=scheduler,
        disable_log_stats=False,
        **options,
    )
    assert made is not None
    try:
        yield made.llm_engine
    finally:
        made.llm_engine.engine_core.shutdown()
        made = None
        gc.collect()


def scheduler_of(engine: Any) -> Any:
    return engine.engine_core.engine_core.scheduler


def add(engine: Any, key: str, prompt: list[int], output_tokens: int) -> None:
    from vllm import SamplingParams

    params = SamplingParams(temperature=0, max_tokens=output_tokens, ignore_eos=True)
    engine.add_request(key, {"prompt_token_ids": prompt}, params)


def run(engine: Any) -> Seen:
    """All steps until nothing is left to do."""
    seen, scheduler = Seen(), scheduler_of(engine)
    pool = scheduler.kv_cache_manager.block_pool
    schedule = scheduler.schedule
    asked = sorted(scheduler.requests.values(), key=lambda one: one.arrival_time)
    seen.arrived = [_named(one.request_id) for one in asked]

    def watched(*args: Any, **kwargs: Any) -> Any:
        output = schedule(*args, **kwargs)
        seen.running.append([_named(one.request_id) for one in scheduler.running])
        seen.held_blocks.append(USABLE_BLOCKS - pool.get_num_free_blocks())
        return output

    scheduler.schedule = watched
    try:
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    key = _named(output.request_id)
                    seen.tokens[key] = list(output.outputs[0].token_ids)
                    seen.cached[key] = output.num_cached_tokens
    finally:
        scheduler.schedule = schedule
    return seen


def asked(engine: Any, ask: Callable[[Any], None]) -> Seen:
    """What comes of it, with nothing cached before."""
    assert engine.reset_prefix_cache()
    ask(engine)
    return run(engine)


def _named(key: str) -> str:
    """The name that a request was added by, of what vLLM makes of it."""
    return key.split("-", 1)[0]


def prompt(seed: int, tokens: int) -> list[int]:
    """Some text of the model's tokens, the same for the same seed."""
    return [(seed * 7919 + place * 104729) % 40000 + 1000 for place in range(tokens)]
