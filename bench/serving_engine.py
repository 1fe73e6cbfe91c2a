"""The engines that `bench.serving` compares: vLLM, with and without what is to be measured.

All of one benchmark have the same model, threads, KV memory of their own and limits of a step.
What a request answers is given with it (`ForcedAnswers`): all engines see the same histories,
whatever near-ties of bf16 they decide otherwise, and the history's KV is the answer's own.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.smollm2 import DTypeName, model_folder

BLOCK_TOKENS = 32
REQUESTS_MAX = 48
FLASHGEN = "tiermem.serving.schedulers.vllm_flashgen.FlashGenScheduler"
GIVEN = "given_answer"


@dataclass(frozen=True)
class Engine:
    """name: of the configuration. tiers: what TieredKV is told; None: plain vLLM.
    scheduler: None: vLLM's own. kv_tokens: what its own KV memory holds; step_tokens: what it
    computes at a time."""

    name: str
    dtype: DTypeName
    context_tokens: int
    kv_tokens: int
    step_tokens: int
    has_prefix_cache: bool = True
    scheduler: str | None = None
    tiers: Mapping[str, Any] | None = None


def _forced_answers() -> type[Any]:
    """A class of vLLM's kind, made where vLLM is there."""
    from vllm.v1.sample.logits_processor import LogitsProcessor
    from vllm.v1.sample.logits_processor.builtin import process_dict_updates

    class ForcedAnswers(LogitsProcessor):  # type: ignore[misc]
        """Requests answer with the tokens of their `extra_args`, one after the other."""

        def __init__(self, _config: Any, _device: Any, _is_pinned: bool) -> None:
            self._rows: dict[int, tuple[list[int], list[int]]] = {}

        def is_argmax_invariant(self) -> bool:
            return False

        def update_state(self, batch_update: Any) -> None:
            process_dict_updates(self._rows, batch_update, _given)

        def apply(self, logits: Any) -> Any:
            for row, (answer, said) in self._rows.items():
                logits[row, answer[len(said)]] = float("inf")
            return logits

    return ForcedAnswers


def _given(
    params: Any, _prompt: list[int] | None, said: list[int]
) -> tuple[list[int], list[int]] | None:
    answer = (params.extra_args or {}).get(GIVEN)
    return (answer, said) if answer else None


@contextmanager
def started(spec: Engine) -> Iterator[Any]:
    """vLLM's LLMEngine, in this process."""
    from vllm import LLM
    from vllm.config import KVTransferConfig
    from vllm.distributed import cleanup_dist_env_and_memory
    from vllm.distributed.kv_transfer import ensure_kv_transfer_shutdown

    transfer = None
    if spec.tiers is not None:
        transfer = KVTransferConfig(
            kv_connector="TieredKV",
            kv_role="kv_both",
            kv_connector_module_path="tiermem.serving.kv.vllm_connector",
            kv_load_failure_policy="recompute",
            kv_connector_extra_config=dict(spec.tiers),
        )
    try:
        made: Any = LLM(
            model=str(model_folder(spec.dtype)),
            dtype=spec.dtype,
            enforce_eager=True,
            max_model_len=spec.context_tokens,
            block_size=BLOCK_TOKENS,
            # One is vLLM's own, and never holds anything.
            num_gpu_blocks_override=spec.kv_tokens // BLOCK_TOKENS + 1,
            max_num_seqs=REQUESTS_MAX,
            max_num_batched_tokens=spec.step_tokens,
            enable_prefix_caching=spec.has_prefix_cache,
            scheduler_cls=spec.scheduler,
            kv_transfer_config=transfer,
            logits_processors=[_forced_answers()],
            disable_log_stats=False,
        )
    except BaseException:
        ensure_kv_transfer_shutdown()
        raise
    try:
        yield made.llm_engine
    finally:
        made.llm_engine.engine_core.shutdown()
        del made
        gc.collect()
        cleanup_dist_env_and_memory()
