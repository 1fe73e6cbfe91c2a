"""What a run asks of attention: one layer's keys and values, and the sum over them.

Each kind has its own order within a block of tokens; blocks are copied as a whole, and never
interpreted elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.parts import Part

AttentionName = Literal["auto", "native", "vllm", "torch"]


class LayerAttention(Protocol):
    """Over `KvBlocks`, one layer at a time."""

    # New tokens that an input has at least, for its outputs to be those of a plain prefill; as
    # many rows are computed at least of each layer.
    tokens_min: int
    # Inputs of one run.
    parts_max: int

    def begin(self, parts: Sequence[Part]) -> None:
        """A run of these inputs."""

    def enter(self, layer: int) -> None:
        """What is cached of this layer will be looked at."""

    def store(self, rows: slice, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[rows, kv_heads, head_dim]` of these rows of the run."""

    def attend(self, queries: torch.Tensor, scale: float) -> None:
        """Queries `[rows, heads, head_dim]` of all rows, each of which looks at all tokens of its
        input before it and itself; the output is written over them."""

    def attend_last(self, queries: torch.Tensor, scale: float) -> None:
        """The same of the last row of each input. Only where tokens_min is 1."""


def make_attention(name: AttentionName, model: Dimensions, blocks: KvBlocks) -> LayerAttention:
    """auto: the first that this host and this model allow. MissingError where one is asked for
    and is not there."""
    reasons = []
    for kind in ("native", "vllm", "torch") if name == "auto" else (name,):
        try:
            return _make(kind, model, blocks)
        except (ImportError, AttributeError, MissingError) as error:
            reasons.append(str(error))
    raise MissingError(f"attention {name}: not on this host: {'; '.join(reasons)}")


def _make(kind: str, model: Dimensions, blocks: KvBlocks) -> LayerAttention:
    if kind == "native":
        from tiermem.serving.prefill_only.native_attention import NativeAttention

        return NativeAttention(model, blocks)
    if kind == "vllm":
        from tiermem.serving.prefill_only.vllm_attention import VllmAttention

        return VllmAttention(model, blocks)
    from tiermem.serving.prefill_only.torch_attention import TorchAttention

    return TorchAttention(model, blocks)
