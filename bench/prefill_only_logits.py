"""Whether logits are those of a plain prefill by the same model code, in fp32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tiermem.serving.prefill_only.attention import AttentionName
from tiermem.serving.prefill_only.budget import divide
from tiermem.serving.prefill_only.decoder import Decoder, make_decoder
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.executor import Executor
from tiermem.serving.prefill_only.families import dimensions_of, load_model

from bench.prefill_only_likeness import Likeness
from bench.smollm2 import model_folder

KERNELS: tuple[AttentionName, ...] = ("torch", "vllm")
TOP = 20


def likenesses(quick: bool) -> list[Likeness]:
    """For both kernels: of a prompt, and of the same prompt with its prefix cached."""
    torch.set_num_threads(1)
    model = _fresh()
    random = np.random.default_rng(1)
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    decoders = {name: make_decoder(name, _fresh()) for name in KERNELS}
    found = []
    for length in (100, 300) if quick else (100, 700, 1500, 3000):
        tokens = [int(one) for one in random.integers(1000, 40000, length)]
        with torch.inference_mode():
            plain = model(torch.tensor([tokens]), logits_to_keep=1).logits[0, -1].numpy()
        for attention in KERNELS:
            executor = _executor(decoders[attention], length, attention, dimensions)
            for _ in range(2):
                found.append(_compared(executor, tokens, plain, attention))
    return found


def _compared(
    executor: Executor, tokens: Sequence[int], plain: np.ndarray, attention: str
) -> Likeness:
    ours = executor.prefill(tokens, executor.keys(tokens))
    return Likeness(
        attention,
        len(tokens),
        ours.cached_tokens,
        float(np.abs(ours.logits - plain).max()),
        bool(np.array_equal(ours.logits, plain)),
        bool(np.array_equal(np.argsort(-ours.logits)[:TOP], np.argsort(-plain)[:TOP])),
    )


def _fresh() -> Any:
    """A model for a decoder of its own, which may take its weights."""
    return load_model(str(model_folder("float32")), "float32")


def _executor(
    decoder: Decoder, tokens: int, attention: AttentionName, dimensions: Dimensions
) -> Executor:
    return Executor(decoder, dimensions, divide(dimensions, 1 << 30, tokens), attention=attention)
