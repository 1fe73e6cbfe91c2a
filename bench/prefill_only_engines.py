"""The engines that serve the workloads: vLLM with its best settings, and PrefillOnly's executor.

All in one process on one thread, with the same memory, under a `BusyClock`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, divide
from tiermem.serving.prefill_only.decoder import make_decoder
from tiermem.serving.prefill_only.executor import Executor, Prefilled, kernels_of
from tiermem.serving.prefill_only.families import dimensions_of, load_model
from tiermem.serving.prefill_only.peak_memory import peak_growth_bytes
from tiermem.serving.prefill_only.prefill_queue import PrefillQueue
from tiermem.serving.schedulers.options import PrefillOnlyOptions

from bench.prefill_only_contenders import CONTEXT_TOKENS, DTYPE, VLLM_SETTINGS
from bench.prefill_only_workloads import BusyClock
from bench.smollm2 import model_folder

# Fewer than the server's: the memory of these workloads is small as well.
CHUNK_TOKENS, TOGETHER = 256, 4
FAIRNESS = PrefillOnlyOptions().fairness
# Prompts by which vLLM's memory beside KV is measured.
_LONGEST = 3
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

    def __init__(self, model: Any, memory_bytes: int, max_input_tokens: int) -> None:
        """memory_bytes: of inputs and the prefix cache, all in all."""
        dimensions = dimensions_of(model.config, model.dtype.itemsize)
        decoder = make_decoder("auto", model)
        budget = divide(
            dimensions,
            memory_bytes,
            max_input_tokens,
            chunk_tokens=CHUNK_TOKENS,
            together=TOGETHER,
            kernels=kernels_of(decoder, dimensions, "auto"),
        )
        self._executor = Executor(decoder, dimensions, budget, chunk_tokens=CHUNK_TOKENS)
        self.cache_tokens = budget.cache_blocks * BLOCK_TOKENS

    def serve(
        self,
        prompts: Sequence[list[int]],
        times_s: Sequence[float],
        answered: Answered,
        *,
        fairness: float = FAIRNESS,
        is_together: bool = True,
    ) -> BusyClock:
        """See Engine."""
        self._executor.clear()
        clock = BusyClock()
        queue: PrefillQueue[Prefilled] = PrefillQueue(
            self._executor.prefill_all,
            self._executor.cached_tokens,
            len(prompts),
            PrefillOnlyOptions(fairness=fairness),
            clock=clock.now_s,
            together_max=self._executor.together_max if is_together else 1,
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


@dataclass(frozen=True)
class Engines:
    """All that serve one workload, warmed up. memory_bytes: of each, beside its weights: what
    vLLM's KV takes and, measured, its longest step."""

    vllm: dict[str, Vllm]
    ours: Ours
    memory_bytes: int


def make_engines(prompts: Sequence[list[int]], kv_tokens: int, settings: Sequence[str]) -> Engines:
    """vLLM with so much KV memory, in these settings, and PrefillOnly in the same memory."""
    vllm = {name: Vllm(kv_tokens, VLLM_SETTINGS[name]) for name in settings}
    model = load_model(str(model_folder(DTYPE)), DTYPE)
    kv_bytes = kv_tokens * dimensions_of(model.config, model.dtype.itemsize).kv_token_bytes
    longest = sorted(prompts, key=len)[-_LONGEST:]
    for engine in vllm.values():
        engine.serve(longest[-1:], [0.0], _nobody)
    passing = [
        peak_growth_bytes(lambda e=engine: e.serve(longest, [0.0] * len(longest), _nobody))
        for engine in vllm.values()
    ]
    # The least of the settings: what any of them has, PrefillOnly may have as well.
    memory_bytes = kv_bytes + min(passing)
    ours = Ours(model, memory_bytes, len(longest[-1]))
    ours.serve(longest[-1:], [0.0], _nobody)
    return Engines(vllm, ours, memory_bytes)


def _nobody(_number: int, _cached: int, _now_s: float) -> None:
    """A warm-up's answers."""
