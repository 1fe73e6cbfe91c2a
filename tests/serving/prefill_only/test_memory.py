"""The limit of memory: what is computed, what is measured, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tiermem.errors import ConfigError
from tiermem.layer.arena import list_arenas
from tiermem.serving.prefill_only.budget import Budget, divide
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.executor import kernels_of
from tiermem.serving.prefill_only.families import dimensions_of
from tiermem.serving.prefill_only.freed_memory import give_back_when_freed
from tiermem.serving.prefill_only.peak_memory import peak_growth_bytes
from tiermem.serving.prefill_only.start import StartOptions, measure_longest, start

from bench.smollm2 import fast_dtype, model_folder
from tests.serving.fresh_process import in_fresh_process
from tests.serving.prefill_only.models import decoder_of, executor, smollm2, tokens_of

MIB = 1 << 20


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("attention", ["torch", "vllm", "auto"])
def test_an_input_takes_no_more_than_is_computed(dtype: Any, attention: Any) -> None:
    """Far less than KV of all layers would, and a mask of length squared."""
    tokens = 2048
    measured, budget, dimensions = in_fresh_process(measure_an_input, dtype, attention, tokens)
    assert budget.workspace_bytes * 0.9 < measured <= budget.input_bytes
    assert measured < tokens * dimensions.kv_token_bytes
    item_bytes = {"float32": 4, "bfloat16": 2}[dtype]
    assert measured < tokens * tokens * dimensions.heads * item_bytes


def measure_an_input(dtype: Any, attention: Any, tokens: int) -> tuple[int, Budget, Dimensions]:
    give_back_when_freed()
    model = smollm2(dtype)
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    decoder = decoder_of(model, attention)
    kernels = kernels_of(decoder, dimensions, attention)
    options = StartOptions(1 << 30, attention=attention)
    measured = measure_longest(decoder, dimensions, tokens, options)
    assert measured is not None
    return measured, divide(dimensions, 1 << 30, tokens, kernels=kernels), dimensions


@pytest.mark.parametrize("attention", ["torch", "auto"])
def test_many_requests_stay_within_the_limit(attention: Any) -> None:
    """With a cache that fills up and is evicted from, cached prefixes included."""
    peak_bytes, limit_bytes = in_fresh_process(measure_many_requests, attention)
    assert peak_bytes <= limit_bytes


def measure_many_requests(attention: Any) -> tuple[int, int]:
    model = smollm2(fast_dtype())

    def serve() -> None:
        ours = executor(model, max_input_tokens=1024, cache_blocks=40, attention=attention)
        limits.append(ours.budget.memory_bytes)
        for seed in range(6):
            tokens = tokens_of(seed % 2, 400) + tokens_of(10 + seed, 600)
            found = ours.prefill(tokens, ours.keys(tokens))
            hits.append(found.cached_tokens)
        assert ours.cache.used_blocks == 40

    limits: list[int] = []
    hits: list[int] = []
    serve()  # kernels keep code for every shape that they have seen: no input's
    peak_bytes = peak_growth_bytes(serve)
    assert any(hits)
    return peak_bytes, limits[0]


def test_the_limit_is_divided_at_the_start() -> None:
    folder = str(model_folder(fast_dtype()))
    options = StartOptions(256 * MIB, max_input_tokens=1024, tier="fastest")
    started = start(folder, options)
    budget = started.executor.budget
    assert started.measured_bytes is not None
    assert started.measured_bytes <= budget.input_bytes
    assert 0 <= 256 * MIB - budget.input_bytes - budget.cache_bytes < budget.block_bytes
    assert started.arena is not None
    assert started.arena.usage.used_bytes == budget.kv_bytes == started.arena.bytes
    assert "prefill-only" in [one.description.name for one in list_arenas()]
    tokens = tokens_of(1, 500)
    for cached in (0, 480):
        found = started.executor.prefill(tokens, started.executor.keys(tokens))
        assert found.cached_tokens == cached


def test_too_little_memory_is_refused_with_what_is_needed() -> None:
    folder = str(model_folder("bfloat16"))
    options = StartOptions(8 * MIB, max_input_tokens=8192, is_checked=False)
    with pytest.raises(ConfigError, match="8192 tokens needs") as caught:
        start(folder, options)
    needed = int(str(caught.value).split(" needs ")[1].split()[0])
    start(folder, dataclasses.replace(options, memory_bytes=needed))
