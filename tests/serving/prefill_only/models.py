"""Models for the tests: the real one, and small ones of every family with made-up weights."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import torch
from tiermem.serving.prefill_only.attention import AttentionName
from tiermem.serving.prefill_only.budget import TOGETHER_MAX, divide
from tiermem.serving.prefill_only.decoder import Decoder, make_decoder
from tiermem.serving.prefill_only.executor import Executor, Prefilled, kernels_of
from tiermem.serving.prefill_only.families import dimensions_of, load_model

from bench.smollm2 import DTypeName, model_folder


@cache
def smollm2(dtype: DTypeName = "float32") -> Any:
    """The real model; threads as the tests' settings say."""
    torch.set_num_threads(1)
    return load_model(str(model_folder(dtype)))


# Whose weights are packed for vLLM's kernels: no longer a model that computes by itself.
_packed: dict[int, tuple[Any, Decoder]] = {}


def decoder_of(model: Any, attention: AttentionName) -> Decoder:
    """Of a copy, where it takes the weights."""
    if attention == "torch":
        return make_decoder(attention, model)
    if id(model) not in _packed:
        _packed[id(model)] = model, make_decoder(attention, deepcopy(model))
    return _packed[id(model)][1]


def executor(
    model: Any,
    max_input_tokens: int = 1024,
    cache_blocks: int = 64,
    attention: AttentionName = "torch",
    **options: Any,
) -> Executor:
    """With room for so many blocks."""
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    decoder = decoder_of(model, attention)
    kernels = kernels_of(decoder, dimensions, attention)

    most = divide(dimensions, 1 << 40, max_input_tokens, together=TOGETHER_MAX, kernels=kernels)
    memory_bytes = most.input_bytes + cache_blocks * most.block_bytes
    budget = replace(most, memory_bytes=memory_bytes, cache_blocks=cache_blocks)
    return Executor(decoder, dimensions, budget, attention=attention, **options)


def plain(model: Any, tokens: Sequence[int]) -> torch.Tensor:
    """Logits of what follows, as transformers prefills."""
    return _plain(model, tuple(tokens))


@cache
def _plain(model: Any, tokens: tuple[int, ...]) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([tokens]), logits_to_keep=1).logits[0, -1].float()


def tokens_of(seed: int, count: int, vocab: int = 40000) -> list[int]:
    random = Random(seed)
    return [random.randrange(vocab) for _ in range(count)]


def difference(executor: Executor, model: Any, tokens: Sequence[int]) -> float:
    """The largest, of all logits."""
    return difference_of(executor.prefill(tokens, executor.keys(tokens)), model, tokens)


def difference_of(found: Prefilled, model: Any, tokens: Sequence[int]) -> float:
    """The same of what was found before."""
    return float((torch.from_numpy(found.logits) - plain(model, tokens)).abs().max())
