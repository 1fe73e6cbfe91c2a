"""Transformers' modules, called one by one as they are: bit by bit what the model computes."""

from __future__ import annotations

import sys
from typing import Any

import torch

from tiermem.serving.prefill_only.workspace import Workspace

# Whose cosines and sines are made at a time.
_POSITIONS = 512


class TransformersDecoder:
    """See `decoder.Decoder`."""

    is_packed = False

    def __init__(self, model: Any) -> None:
        self._decoder, self._head = model.model, model.lm_head
        self._rotate = sys.modules[type(model).__module__].apply_rotary_pos_emb
        self.layers = len(self._decoder.layers)
        self.scale: float = self._decoder.layers[0].self_attn.scaling
        self.dtype, self.device = model.dtype, model.device

    def prepare(self, space: Workspace, rows: int) -> None:
        """As transformers computes them; modules take memory when they need it."""
        write_rotations(self._decoder.rotary_emb, space)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states of these tokens."""
        found: torch.Tensor = self._decoder.embed_tokens(ids)
        return found

    def project(
        self, layer: int, hidden: torch.Tensor, places: torch.Tensor, space: Workspace
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See Decoder."""
        of = self._decoder.layers[layer]
        attention = of.self_attn
        normed = of.input_layernorm(hidden)
        queries = attention.q_proj(normed).unflatten(1, (-1, attention.head_dim))
        keys = attention.k_proj(normed).unflatten(1, (-1, attention.head_dim))
        values = attention.v_proj(normed).view(keys.shape)
        queries, keys = self._rotate(queries, keys, space.cosines[places], space.sines[places])
        return queries, keys, values

    def transform(
        self, layer: int, hidden: torch.Tensor, attended: torch.Tensor, space: Workspace
    ) -> None:
        """See Decoder."""
        of = self._decoder.layers[layer]
        hidden += of.self_attn.o_proj(attended.flatten(1))
        hidden += of.mlp(of.post_attention_layernorm(hidden))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[rows, vocab]`, fp32."""
        found: torch.Tensor = self._head(self._decoder.norm(hidden)).float()
        return found


def write_rotations(rotary: Any, space: Workspace) -> None:
    """Cosines and sines of all positions, some at a time."""
    for begin in range(0, space.tokens, _POSITIONS):
        tokens = slice(begin, min(begin + _POSITIONS, space.tokens))
        places = torch.arange(tokens.start, tokens.stop)[None]
        cosines, sines = rotary(space.hidden, places)
        space.cosines[tokens], space.sines[tokens] = cosines[0], sines[0]
