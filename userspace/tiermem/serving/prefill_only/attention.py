"""What a prefill asks of attention: one layer's keys and values, and the sum over them.

Each kind has its own order within a block of tokens; blocks are copied as a whole, and never
interpreted elsewhere.
"""

from __future__ import annotations

from typing import Literal, Protocol

import torch

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.dimensions import Dimensions

AttentionName = Literal["auto", "torch", "vllm"]


class LayerAttention(Protocol):
    """Over blocks, `[blocks, numbers of a block]`, of one layer at a time."""

    def store(self, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[tokens, kv_heads, head_dim]`, from token `at` on."""

    def attend(self, queries: torch.Tensor, tokens: int, scale: float) -> None:
        """Queries `[new, heads, head_dim]` of the last of so many tokens, each of which looks at
        all tokens before it and itself; the output is written over them."""


def make_attention(name: AttentionName, model: Dimensions, blocks: torch.Tensor) -> LayerAttention:
    """auto: vLLM's where it is installed and takes this model. MissingError where it is asked
    for and is not there."""
    from tiermem.serving.prefill_only.torch_attention import TorchAttention

    if name == "torch":
        return TorchAttention(model, blocks)
    try:
        from tiermem.serving.prefill_only.vllm_attention import VllmAttention

        return VllmAttention(model, blocks)
    except (ImportError, AttributeError, MissingError) as error:
        if name == "auto":
            return TorchAttention(model, blocks)
        raise MissingError(
            f"attention vllm: vLLM's kernels for the CPU are not there: {error}"
        ) from None
