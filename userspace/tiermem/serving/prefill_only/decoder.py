"""What a run asks of a model beside attention: embedding, norms, projections, MLP, and the head."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.attention import AttentionName
from tiermem.serving.prefill_only.transformers_decoder import TransformersDecoder
from tiermem.serving.prefill_only.workspace import Workspace

Projected = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Decoder(Protocol):
    """Tensors are of some rows; `[rows, hidden]` where nothing else is said."""

    # By vLLM's kernels, over packed weights.
    is_packed: bool
    layers: int
    scale: float
    dtype: torch.dtype
    device: torch.device

    def prepare(self, space: Workspace, rows: int) -> None:
        """Write cosines and sines of all its positions, as `project` wants them; and take what so
        many rows at a time are computed in, which is the workspace's from then on."""

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states of these tokens."""

    def project(
        self, layer: int, hidden: torch.Tensor, places: torch.Tensor, space: Workspace
    ) -> Projected:
        """Queries, keys and values `[rows, heads, head_dim]` of rows at these places of their
        inputs. They may be written over by the next call."""

    def transform(
        self, layer: int, hidden: torch.Tensor, attended: torch.Tensor, space: Workspace
    ) -> None:
        """Attention's output projection and the MLP, each added to the hidden states."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[rows, vocab]`, fp32."""


def make_decoder(name: AttentionName, model: Any) -> Decoder:
    """Of a model of `families`, whose weights may not be used otherwise afterwards: with vLLM's
    kernels they are packed, where those multiply its numbers, and the model's own are given up.
    `torch`: the model's modules."""
    if name != "torch":
        try:
            from tiermem.serving.prefill_only.packed_decoder import PackedDecoder, can_pack

            if can_pack(model.dtype):
                return PackedDecoder(model)
        except (ImportError, AttributeError, MissingError):
            if name == "vllm":
                raise MissingError("attention vllm: vLLM for the CPU is not installed") from None
    return TransformersDecoder(model)
