"""The longest input under a limit of memory: PrefillOnly's executor, and plain prefills.

What counts is how much a process grows at most while it prefills, above its weights and what
libraries take once. vLLM allocates its KV cache at the start: those pages are given back
before each run, so that it is charged for what the prompt really uses, and nothing else.
Each engine has a process of its own.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tiermem.serving.prefill_only.budget import divide
from tiermem.serving.prefill_only.executor import Executor
from tiermem.serving.prefill_only.families import dimensions_of, load_model
from tiermem.serving.prefill_only.peak_memory import peak_growth_bytes

from bench.prefill_only_engines import CONTEXT_TOKENS, DTYPE, OURS, VLLM_SETTINGS, Vllm
from bench.smollm2 import model_folder

LIMIT_BYTES, QUICK_LIMIT_BYTES = 16 << 20, 8 << 20
# A small chunk, as for one who has little memory.
CHUNK_TOKENS = 128
WITH_KV, WITHOUT_KV = "transformers", "transformers, use_cache=False"
ENGINES = (OURS, *VLLM_SETTINGS, WITH_KV, WITHOUT_KV)
_WARM_UP_TOKENS = 96


@dataclass(frozen=True)
class Longest:
    """tokens: the longest input that stayed within the limit; peaks: bytes by tokens tried."""

    engine: str
    tokens: int
    limit_bytes: int
    peaks: dict[int, int] = field(default_factory=dict)


def longest_input(engine: str, quick: bool) -> Longest:
    """Found by trying."""
    prefill = _prefill_of(engine)
    prefill(_WARM_UP_TOKENS)

    def peak(tokens: int) -> int:
        return peak_growth_bytes(lambda: prefill(tokens))

    return search(engine, peak, QUICK_LIMIT_BYTES if quick else LIMIT_BYTES)


def search(engine: str, peak: Callable[[int], int], limit_bytes: int) -> Longest:
    """By straight lines through what was measured, to 5%; never longer than the context."""
    peaks: dict[int, int] = {}
    fits, too_long, guess = 0, CONTEXT_TOKENS + 1, 256
    while too_long - fits > max(32, fits * 0.05) and len(peaks) < 10:
        peaks[guess] = peak(guess)
        if peaks[guess] <= limit_bytes:
            fits = guess
        else:
            too_long = guess
        guess = _next_guess(peaks, limit_bytes, fits, too_long)
    return Longest(engine, fits, limit_bytes, peaks)


def _next_guess(peaks: dict[int, int], limit_bytes: int, fits: int, too_long: int) -> int:
    if len(peaks) == 1:
        guess = 2 * fits if fits else too_long // 2
    else:
        near = sorted(peaks, key=lambda tokens: abs(peaks[tokens] - limit_bytes))[:2]
        (x, y), (u, v) = ((tokens, peaks[tokens]) for tokens in near)
        # A little below the line, so that the next one is likely to fit.
        guess = int(0.985 * (x + (limit_bytes - y) * (u - x) / (v - y))) if v != y else 2 * x
    middle = (fits + too_long) // 2
    return guess if fits < guess < too_long else min(middle, 4 * max(fits, 64))


def _prefill_of(engine: str) -> Callable[[int], object]:
    if engine in VLLM_SETTINGS:
        return _vllm_prefill(VLLM_SETTINGS[engine])
    import torch

    model = load_model(str(model_folder(DTYPE)), DTYPE)
    if engine == OURS:
        return lambda tokens: _ours(model, tokens)

    def plain(tokens: int) -> None:
        with torch.inference_mode():
            ids = torch.tensor([_made_up(tokens)])
            model(ids, logits_to_keep=1, use_cache=engine == WITH_KV)

    return plain


def _ours(model: Any, tokens: int) -> None:
    """Workspace included; nothing is kept."""
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    needed = divide(dimensions, 1 << 40, tokens, chunk_tokens=CHUNK_TOKENS).input_bytes
    budget = divide(dimensions, needed, tokens, chunk_tokens=CHUNK_TOKENS)
    executor = Executor(model, dimensions, budget, chunk_tokens=CHUNK_TOKENS)
    executor.prefill(_made_up(tokens), [])


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
