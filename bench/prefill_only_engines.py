"""The engines that serve the workloads: vLLM with its best settings, and PrefillOnly's executor.

All in one process on one thread, with the same memory for cached KV, under a `BusyClock`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, block_bytes, divide
from tiermem.serving.prefill_only.executor import Executor, Prefilled
from tiermem.serving.prefill_only.families import dimensions_of, load_model
from tiermem.serving.prefill_only.prefill_queue import PrefillQueue

from bench.prefill_only_contenders import CONTEXT_TOKENS, DTYPE, OURS, VLLM_SETTINGS
from bench.prefill_only_workloads import BusyClock
from bench.smollm2 import model_folder

# number, cached tokens, seconds of the clock
Answered = Callable[[int, int, float], None]


class Engine(Protocol):
    """Serves requests one by one or together."""

    def serve(
        self, prompts: Sequence[list[int]], times_s: Sequence[float], answered: Answered
    ) -> BusyClock:
        """All, as they come, from an empty cache; `answered` each time."""


class Ours:
    """The executor and its queue, without the server."""

    def __init__(self, model: Any, cache_tokens: int) -> None:
        dimensions = dimensions_of(model.config, model.dtype.itemsize)
        needed = divide(dimensions, 1 << 40, CONTEXT_TOKENS).input_bytes
        cache = cache_tokens // BLOCK_TOKENS * block_bytes(dimensions)
        self._executor = Executor(
            model, dimensions, divide(dimensions, needed + cache, CONTEXT_TOKENS)
        )

    def serve(
        self, prompts: Sequence[list[int]], times_s: Sequence[float], answered: Answered
    ) -> BusyClock:
        """See Engine."""
        self._executor.clear()
        clock = BusyClock()
        queue: PrefillQueue[Prefilled] = PrefillQueue(
            self._executor.prefill,
            self._executor.cached_tokens,
            len(prompts),
            clock=clock.now_s,
        )

        def take(found: Prefilled, number: int) -> None:
            found.logits.argmax()
            answered(number, found.cached_tokens, clock.now_s())

        came = 0
        while came < len(prompts) or len(queue):
            if not len(queue):
                clock.skip_to(times_s[came])
            while came < len(prompts) and times_s[came] <= clock.now_s():
                keys = self._executor.keys(prompts[came])
                answer = queue.submit(prompts[came], keys, times_s[came])
                answer.add_done_callback(lambda done, n=came: take(done.result(), n))
                came += 1
            queue.step()
        return clock


class Vllm:
    """vLLM's engine, stepped."""

    def __init__(self, cache_tokens: int, settings: dict[str, Any]) -> None:
        from vllm import LLM, SamplingParams

        blocks = cache_tokens // BLOCK_TOKENS
        self._llm = LLM(
            model=str(model_folder(DTYPE)),
            dtype=DTYPE,
            enforce_eager=True,
            block_size=BLOCK_TOKENS,
            # One more is vLLM's own, and never holds anything.
            num_gpu_blocks_override=blocks + 1,
            max_model_len=min(CONTEXT_TOKENS, blocks * BLOCK_TOKENS),
            enable_prefix_caching=True,
            disable_log_stats=False,
            **settings,
        )
        self._one_token = SamplingParams(temperature=0, max_tokens=1)

    def kv_tensors(self) -> list[Any]:
        """Its KV cache's memory, a tensor a layer."""
        core = self._llm.llm_engine.engine_core.engine_core
        return list(core.model_executor.driver_worker.worker.model_runner.kv_caches)

    def serve(
        self, prompts: Sequence[list[int]], times_s: Sequence[float], answered: Answered
    ) -> BusyClock:
        """See Engine."""
        engine = self._llm.llm_engine
        engine.reset_prefix_cache()
        clock, came = BusyClock(), 0
        while came < len(prompts) or engine.has_unfinished_requests():
            if not engine.has_unfinished_requests():
                clock.skip_to(times_s[came])
            while came < len(prompts) and times_s[came] <= clock.now_s():
                prompt = {"prompt_token_ids": prompts[came]}
                engine.add_request(str(came), prompt, self._one_token)
                came += 1
            for output in engine.step():
                if output.finished:
                    # vLLM appends something of its own to the name.
                    number = int(output.request_id.split("-", 1)[0])
                    answered(number, output.num_cached_tokens or 0, clock.now_s())
        return clock


def make_engines(cache_tokens: int) -> dict[str, Engine]:
    """All of them, warmed up."""
    engines: dict[str, Engine] = {
        name: Vllm(cache_tokens, settings) for name, settings in VLLM_SETTINGS.items()
    }
    engines[OURS] = Ours(load_model(str(model_folder(DTYPE)), DTYPE), cache_tokens)
    random = np.random.default_rng(9)
    for engine in engines.values():
        for length in (64, 600):
            prompt = [int(one) for one in random.integers(1000, 40000, length)]
            engine.serve([prompt, prompt], [0.0, 0.0], lambda _number, _cached, _now_s: None)
    return engines
