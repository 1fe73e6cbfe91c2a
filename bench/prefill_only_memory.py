"""The longest input under a limit of memory: PrefillOnly's executor, and plain prefills.

What counts is how much a process grows at most while it prefills, above its weights and what
libraries take once. vLLM allocates its KV cache at the start: those pages are given back
before each run, so that it is charged for what the prompt really uses, and nothing else.
PrefillOnly is charged for what its server would ask for, where that is more than it takes. Each
engine has a process of its own.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

import numpy as np
from tiermem.serving.prefill_only.budget import Budget, divide
from tiermem.serving.prefill_only.decoder import Decoder, make_decoder
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.executor import Executor, kernels_of
from tiermem.serving.prefill_only.families import dimensions_of, load_model
from tiermem.serving.prefill_only.peak_memory import peak_growth_bytes

from bench.prefill_only_contenders import CONTEXT_TOKENS, DTYPE, OURS, VLLM_SETTINGS, WITH_KV
from bench.prefill_only_engines import Vllm
from bench.prefill_only_search import Longest, search
from bench.smollm2 import model_folder

LIMIT_BYTES = 16 << 20
# Shorter inputs, which take less time; not so short that most of it is what any input takes.
QUICK_LIMIT_BYTES = {"bfloat16": 8 << 20, "float32": 16 << 20}[DTYPE]
# A small chunk, as for one who has little memory.
CHUNK_TOKENS = 128
_WARM_UP_TOKENS = 96


def longest_input(engine: str, quick: bool) -> Longest:
    """Found by trying."""
    prefill, asked_for = _prefill_of(engine)
    prefill(_WARM_UP_TOKENS)

    def peak(tokens: int) -> int:
        return max(peak_growth_bytes(lambda: prefill(tokens)), asked_for(tokens))

    return search(engine, peak, QUICK_LIMIT_BYTES if quick else LIMIT_BYTES)


def _prefill_of(engine: str) -> tuple[Callable[[int], object], Callable[[int], int]]:
    """What prefills so many tokens, and what memory that would have to be allowed."""
    if engine in VLLM_SETTINGS:
        return _vllm_prefill(VLLM_SETTINGS[engine]), _nothing
    import torch

    model = load_model(str(model_folder(DTYPE)), DTYPE)
    if engine == OURS:
        dimensions = dimensions_of(model.config, model.dtype.itemsize)
        decoder = make_decoder("auto", model)
        return _ours(decoder, dimensions)

    def plain(tokens: int) -> None:
        with torch.inference_mode():
            ids = torch.tensor([_made_up(tokens)])
            hidden = model.model(ids, use_cache=engine == WITH_KV).last_hidden_state
            # As a matrix of one row: of a batch of them the whole head would be copied first.
            model.lm_head(hidden[0, -1:])

    return plain, _nothing


def _ours(
    decoder: Decoder, dimensions: Dimensions
) -> tuple[Callable[[int], object], Callable[[int], int]]:
    """Workspace included; nothing is kept."""
    kernels = kernels_of(decoder, dimensions, "auto")

    def budget(tokens: int, memory_bytes: int = 1 << 40) -> Budget:
        chunk = CHUNK_TOKENS
        return divide(dimensions, memory_bytes, tokens, chunk_tokens=chunk, kernels=kernels)

    def prefill(tokens: int) -> None:
        barely = budget(tokens, budget(tokens).input_bytes)
        executor = Executor(decoder, dimensions, barely, chunk_tokens=CHUNK_TOKENS)
        executor.prefill(_made_up(tokens), [])

    return prefill, lambda tokens: budget(tokens).input_bytes


def _nothing(_tokens: int) -> int:
    return 0


def _vllm_prefill(settings: dict[str, Any]) -> Callable[[int], object]:
    engine = Vllm(CONTEXT_TOKENS, settings)
    caches = engine.kv_tensors()

    def prefill(tokens: int) -> None:
        engine.serve([_made_up(tokens)], [0.0], lambda _number, _cached, _now_s: None)
        for tensor in caches:
            _discard_pages(tensor.data_ptr(), tensor.numel() * tensor.element_size())

    return prefill


def _made_up(tokens: int) -> list[int]:
    return [int(one) for one in np.random.default_rng(tokens).integers(1000, 40000, tokens)]


def _discard_pages(address: int, size_bytes: int) -> None:
    """Whole pages of private memory: zeros when they are touched again."""
    begin = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + size_bytes) // mmap.PAGESIZE * mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED
    if libc.madvise(*arguments):
        raise OSError(ctypes.get_errno(), "madvise")
