"""What a run asks of attention: one layer's keys and values, and the sum over them.

Each kind has its own order within a block of tokens; blocks are copied as a whole, and never
interpreted elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.budget import AttentionKind
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.parts import Part

AttentionName = Literal[AttentionKind, "auto"]


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


def attention_kind(name: AttentionName, model: Dimensions, dtype: torch.dtype) -> AttentionKind:
    """auto: the first that this host, this model and its numbers allow. MissingError where one is
    asked for and is not there."""
    kinds: tuple[AttentionKind, ...] = ("native", "vllm", "torch")
    reasons = []
    for kind in kinds if name == "auto" else (name,):
        try:
            _class_of(kind).check(model, dtype)
        except (ImportError, AttributeError, MissingError) as error:
            reasons.append(str(error))
        else:
            return kind
    raise MissingError(f"attention {name}: not on this host: {'; '.join(reasons)}")


def make_attention(kind: AttentionKind, model: Dimensions, blocks: KvBlocks) -> LayerAttention:
    """One that `attention_kind` named."""
    made: LayerAttention = _class_of(kind)(model, blocks)
    return made


def _class_of(kind: AttentionKind) -> Any:
    if kind == "native":
        from tiermem.serving.prefill_only.native_attention import NativeAttention

        return NativeAttention
    if kind == "vllm":
        from tiermem.serving.prefill_only.vllm_attention import VllmAttention

        return VllmAttention
    from tiermem.serving.prefill_only.torch_attention import TorchAttention

    return TorchAttention
