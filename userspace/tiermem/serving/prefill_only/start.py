"""An executor made ready: model loaded, memory divided, the division checked by measurement.

As in the paper, a made-up request of the longest length is run before the first one. What it
took is compared with what `budget` says; the larger of the two is set aside for inputs, so
that `memory_bytes` holds whatever the kernels of this machine take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tiermem.errors import MissingError
from tiermem.layer.arena import Arena, create_arena
from tiermem.layer.arena.choice import TierChoice
from tiermem.serving.prefill_only.attention import AttentionName
from tiermem.serving.prefill_only.budget import CHUNK_TOKENS, TOGETHER_MAX, Budget, divide
from tiermem.serving.prefill_only.decoder import Decoder, make_decoder
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.executor import Executor, kernels_of
from tiermem.serving.prefill_only.families import DTypeName, dimensions_of, load_model
from tiermem.serving.prefill_only.freed_memory import give_back_when_freed
from tiermem.serving.prefill_only.peak_memory import peak_growth_bytes

_WARM_UP_TOKENS = 64


@dataclass(frozen=True, slots=True)
class StartOptions:
    """memory_bytes: of inputs and the prefix cache, beside the weights. max_input_tokens: None
    is the model's context. tier: of the prefix cache's memory; None is torch's own."""

    memory_bytes: int
    max_input_tokens: int | None = None
    dtype: DTypeName = "auto"
    chunk_tokens: int = CHUNK_TOKENS
    attention: AttentionName = "auto"
    threads: int | None = None
    tier: TierChoice | None = None
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """An executor, and what its longest input took by measurement (None: was not measured)."""

    executor: Executor
    dtype: str
    weight_bytes: int
    measured_bytes: int | None
    arena: Arena | None


def start(
    name: str, options: StartOptions, progress: Callable[[str], None] = lambda _: None
) -> Started:
    """ConfigError where the longest input does not fit; MissingError, NoSpaceError."""
    give_back_when_freed()
    progress(f"loading {name}")
    model = load_model(name, options.dtype)
    threads = _set_threads(options.threads)
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    weight_bytes = sum(one.numel() * one.element_size() for one in model.parameters())
    decoder = make_decoder(options.attention, model)
    kernels = kernels_of(decoder, dimensions, options.attention)
    longest = options.max_input_tokens or dimensions.context_tokens

    def divided(measured_bytes: int) -> Budget:
        return divide(
            dimensions,
            options.memory_bytes,
            longest,
            chunk_tokens=options.chunk_tokens,
            threads=threads,
            together=TOGETHER_MAX,
            kernels=kernels,
            measured_bytes=measured_bytes,
        )

    budget = divided(0)
    measured = None
    if options.is_checked:
        progress(f"measuring an input of {longest} tokens")
        measured = measure_longest(decoder, dimensions, longest, options)
        budget = divided(measured or 0)
    arena = None
    if options.tier is not None and budget.cache_bytes:
        progress("taking memory for the prefix cache")
        arena = create_arena("prefill-only", budget.kv_bytes, tier=options.tier)
    executor = _executor(decoder, dimensions, budget, options, arena)
    dtype = str(decoder.dtype).removeprefix("torch.")
    return Started(executor, dtype, weight_bytes, measured, arena)


def measure_longest(
    decoder: Decoder, dimensions: Dimensions, max_input_tokens: int, options: StartOptions
) -> int | None:
    """Bytes that an input of this length takes at most; None where the host cannot tell."""

    def run(tokens: int) -> None:
        chunk = options.chunk_tokens
        needed = divide(dimensions, 1 << 62, tokens, chunk_tokens=chunk).input_bytes
        budget = divide(dimensions, needed, tokens, chunk_tokens=chunk)
        executor = _executor(decoder, dimensions, budget, options, None)
        made_up = [place % dimensions.vocab for place in range(tokens)]
        executor.prefill(made_up, executor.keys(made_up))

    # What torch and the kernels take once, at their first use of a chunk and of fewer rows, is no
    # input's.
    run(min(options.chunk_tokens + _WARM_UP_TOKENS, max_input_tokens))
    try:
        return peak_growth_bytes(lambda: run(max_input_tokens))
    except MissingError:
        return None


def _executor(
    decoder: Decoder,
    dimensions: Dimensions,
    budget: Budget,
    options: StartOptions,
    arena: Arena | None,
) -> Executor:
    return Executor(
        decoder,
        dimensions,
        budget,
        chunk_tokens=options.chunk_tokens,
        attention=options.attention,
        arena=arena,
    )


def _set_threads(threads: int | None) -> int:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    return int(torch.get_num_threads())
