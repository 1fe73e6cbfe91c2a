"""Whether logits are those of a plain prefill by the same model code in fp32; and, where the
processor multiplies bfloat16, how far they are from that in bfloat16: here, and in a plain prefill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tiermem.serving.prefill_only.attention import AttentionName, attention_kind
from tiermem.serving.prefill_only.budget import divide
from tiermem.serving.prefill_only.decoder import Decoder, make_decoder
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.executor import Executor
from tiermem.serving.prefill_only.families import dimensions_of, load_model

from bench.prefill_only_likeness import Likeness
from bench.smollm2 import DTypeName, fast_dtype, model_folder

KERNELS: tuple[AttentionName, ...] = ("torch", "vllm")
PLAIN_BF16 = "plain, bf16"
TOP = 20


def likenesses(quick: bool) -> list[Likeness]:
    """For both kernels: of a prompt, and of the same prompt with its prefix cached."""
    torch.set_num_threads(1)
    model = _fresh()
    random = np.random.default_rng(1)
    dimensions = dimensions_of(model.config, model.dtype.itemsize)
    decoders = {name: make_decoder(name, _fresh()) for name in KERNELS}
    fast = _Fast() if fast_dtype() == "bfloat16" else None
    found = []
    for length in (100, 300) if quick else (100, 700, 1500, 3000):
        tokens = [int(one) for one in random.integers(1000, 40000, length)]
        with torch.inference_mode():
            plain = model(torch.tensor([tokens]), logits_to_keep=1).logits[0, -1].numpy()
        for attention in KERNELS:
            executor = _executor(decoders[attention], length, attention, dimensions)
            for _ in range(2):
                found.append(_compared(executor, tokens, plain, attention))
        found += fast.likenesses(tokens, plain) if fast else ()
    return found


class _Fast:
    """In bfloat16: the kernels that a server uses, and transformers' own."""

    def __init__(self) -> None:
        self._plain, packed = _fresh("bfloat16"), _fresh("bfloat16")
        self._dimensions = dimensions_of(packed.config, packed.dtype.itemsize)
        self._kind = attention_kind("auto", self._dimensions, packed.dtype)
        self._decoder = make_decoder("auto", packed)

    def likenesses(self, tokens: Sequence[int], exact: np.ndarray) -> list[Likeness]:
        """Of a plain prefill, and of ours without and with a cached prefix."""
        with torch.inference_mode():
            logits = self._plain(torch.tensor([tokens]), logits_to_keep=1).logits[0, -1].float()
        executor = _executor(self._decoder, len(tokens), "auto", self._dimensions)
        name = f"{self._kind}, bf16"
        return [
            _likeness(PLAIN_BF16, len(tokens), 0, logits.numpy(), exact),
            *(_compared(executor, tokens, exact, name) for _ in range(2)),
        ]


def _compared(
    executor: Executor, tokens: Sequence[int], plain: np.ndarray, attention: str
) -> Likeness:
    ours = executor.prefill(tokens, executor.keys(tokens))
    return _likeness(attention, len(tokens), ours.cached_tokens, ours.logits, plain)


def _likeness(
    name: str, tokens: int, cached_tokens: int, ours: np.ndarray, plain: np.ndarray
) -> Likeness:
    return Likeness(
        name,
        tokens,
        cached_tokens,
        float(np.abs(ours - plain).max()),
        bool(np.array_equal(ours, plain)),
        bool(np.array_equal(np.argsort(-ours)[:TOP], np.argsort(-plain)[:TOP])),
    )


def _fresh(dtype: DTypeName = "float32") -> Any:
    """A model for a decoder of its own, which may take its weights."""
    return load_model(str(model_folder(dtype)), dtype)


def _executor(
    decoder: Decoder, tokens: int, attention: AttentionName, dimensions: Dimensions
) -> Executor:
    return Executor(decoder, dimensions, divide(dimensions, 1 << 30, tokens), attention=attention)
