"""Small engines with KV tiers, and sessions whose history their own cache does not hold."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiermem.serving.kv import vllm_engine
from tiermem.serving.kv.keys import KeyChain
from tiermem.serving.kv.store import KvStore

from bench.smollm2 import model_folder

BLOCK_TOKENS = 32
# In fp32: 30 layers, 3 heads, keys and values of 64.
BLOCK_BYTES = 4096 + BLOCK_TOKENS * 46080
ENGINE_BLOCKS = 12
TURNS = 3
SESSIONS = 3
SMALL: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 320,
    "block_size": BLOCK_TOKENS,
    "num_gpu_blocks_override": ENGINE_BLOCKS,
    "max_num_seqs": 4,
    "disable_log_stats": False,
}


@contextmanager
def engine(extra: Mapping[str, Any] | None, **options: Any) -> Iterator[Any]:
    """vLLM with so small a cache of its own that it holds one session; None: without tiers.

    options: vLLM's, in the place of those here.
    """
    from vllm import LLM
    from vllm.config import KVTransferConfig
    from vllm.distributed import cleanup_dist_env_and_memory
    from vllm.distributed.kv_transfer import ensure_kv_transfer_shutdown

    transfer = None
    if extra is not None:
        transfer = KVTransferConfig(
            kv_connector="TieredKV",
            kv_role="kv_both",
            kv_connector_module_path="tiermem.serving.kv.vllm_connector",
            kv_load_failure_policy="recompute",
            kv_connector_extra_config=dict(extra),
        )
    try:
        llm = LLM(
            str(model_folder("float32")),
            kv_transfer_config=transfer,
            **{**SMALL, **options},
        )
    except BaseException:
        # One that does not start does not clean up either.
        ensure_kv_transfer_shutdown()
        raise
    try:
        yield llm
    finally:
        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        cleanup_dist_env_and_memory()


def tiers(path: Path | None, memory_blocks: int = 64, **options: Any) -> dict[str, Any]:
    """Options for so many blocks in memory, and as many as one likes on SSD."""
    found: dict[str, Any] = {"memory": {"capacity": memory_blocks * BLOCK_BYTES + 4095}, **options}
    if path is not None:
        found["ssd"] = {"path": str(path), "capacity": "256MiB"}
    return found


def store_of_engine() -> KvStore:
    """Of the only engine with tiers in this process."""
    (one,) = vllm_engine._engines.values()
    return one.store


def words(session: int, turn: int) -> list[int]:
    """What a user says: tokens that no other session says."""
    return [1000 + (session * 7919 + turn * 104729 + at * 31) % 40000 for at in range(70)]


def answer(llm: Any, tokens: list[int], count: int = 6) -> list[int]:
    """What the model says to it, greedily."""
    (found,) = answers(llm, [tokens], count)
    return found


def answers(llm: Any, prompts: list[list[int]], count: int = 6) -> list[list[int]]:
    """The same of several who ask at once."""
    from vllm import SamplingParams

    outputs = llm.generate(
        [{"prompt_token_ids": tokens} for tokens in prompts],
        SamplingParams(temperature=0, max_tokens=count, ignore_eos=True),
        use_tqdm=False,
    )
    return [list(output.outputs[0].token_ids) for output in outputs]


def converse(llm: Any, sessions: int = SESSIONS, turns: int = TURNS) -> list[list[int]]:
    """All sessions in turns, so that each one's history is gone when it goes on; who said what."""
    histories: list[list[int]] = [[] for _ in range(sessions)]
    for turn in range(turns):
        for session, history in enumerate(histories):
            history.extend(words(session, turn))
            history.extend(answer(llm, history))
    return histories


def crowd(llm: Any) -> list[list[int]]:
    """More requests at once than fit, some with a common begin, so that vLLM preempts."""
    prompts = [words(20 + number // 2, 0) + words(30 + number, 0)[:25] for number in range(6)]
    return answers(llm, prompts, 50)


def keys_of(llm: Any, tokens: list[int]) -> list[bytes]:
    """Of a sequence's blocks in this engine."""
    connector = llm.llm_engine.engine_core.engine_core.scheduler.connector
    return KeyChain(connector._engine.identity, BLOCK_TOKENS).extend(tokens)


def check_nothing_is_held(store: KvStore) -> None:
    """No block is pinned or half made when no request is there."""
    (engine_of_store,) = vllm_engine._engines.values()
    assert engine_of_store.store is store
    # What the last step made is copied behind it, until the next one begins.
    engine_of_store.steps.drain()
    assert store.flush(30)
    for tier in store.near.tiers:
        blocks = list(tier._blocks.values())
        assert all(block.is_ready and block.pins == 0 for block in blocks)
        assert len(blocks) == tier.used_blocks
