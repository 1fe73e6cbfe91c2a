"""Hybrid prefilling (PrefillOnly, 4.1): a prefill, layer by layer, over transformers' modules.

Norms, projections, rotary positions and MLP take a chunk of tokens at a time, since what they
need in between is many times as wide as what comes out, which is written in its place in the
workspace. Attention takes all tokens at once. Keys and values are of one layer at a time:
those of the next are written over them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from tiermem.serving.prefill_only.attention import LayerAttention
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, CHUNK_TOKENS, TOKENS_MIN
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.prefix_cache import Lease
from tiermem.serving.prefill_only.workspace import Workspace


class HybridPrefill:
    """A model of `families`, and the workspace that its prefills use."""

    def __init__(
        self,
        model: Any,
        workspace: Workspace,
        attention: LayerAttention,
        chunk_tokens: int = CHUNK_TOKENS,
    ) -> None:
        """attention: over the workspace's blocks."""
        self._decoder, self._head = model.model, model.lm_head
        self._rotate = sys.modules[type(model).__module__].apply_rotary_pos_emb
        self._space, self._attention, self._chunk = workspace, attention, chunk_tokens
        for tokens in self._chunks(workspace.tokens):
            places = torch.arange(tokens.start, tokens.stop)[None]
            cosines, sines = self._decoder.rotary_emb(workspace.hidden, places)
            workspace.cosines[tokens], workspace.sines[tokens] = cosines[0], sines[0]

    def run(self, tokens: Sequence[int], blocks: KvBlocks, lease: Lease) -> torch.Tensor:
        """Logits `[vocab]`, fp32, of what follows the tokens, of which `lease.read` has the
        first. Its places to write are written. For torch.inference_mode()."""
        cached = len(lease.read) * BLOCK_TOKENS
        new = len(tokens) - cached
        space = self._space
        ids = torch.tensor(tokens[cached:], device=space.hidden.device)
        for chunk in self._chunks(new):
            space.hidden[chunk] = self._decoder.embed_tokens(ids[chunk])
        for number, layer in enumerate(self._decoder.layers):
            blocks.read(number, lease.read, space.blocks)
            self._project(layer, new, cached)
            blocks.write(number, lease.write, space.blocks[lease.written_from :])
            self._attention.attend(space.queries[:new], len(tokens), layer.self_attn.scaling)
            self._transform(layer, new)
        last = self._decoder.norm(space.hidden[new - 1 : new])
        logits: torch.Tensor = self._head(last)[0].float()
        return logits

    def _project(self, layer: Any, new: int, cached: int) -> None:
        """Queries, keys and values of the new tokens, with their positions."""
        space, attention = self._space, layer.self_attn
        for chunk in self._chunks(new):
            hidden = layer.input_layernorm(space.hidden[chunk])
            places = slice(cached + chunk.start, cached + chunk.stop)
            queries = attention.q_proj(hidden).view(space.queries[chunk].shape)
            keys = attention.k_proj(hidden).unflatten(1, (-1, attention.head_dim))
            values = attention.v_proj(hidden).view(keys.shape)
            space.queries[chunk], keys = self._rotate(
                queries, keys, space.cosines[places], space.sines[places]
            )
            self._attention.store(places.start, keys, values)

    def _transform(self, layer: Any, new: int) -> None:
        """Attention's output projection and the MLP, each added to the hidden states."""
        space = self._space
        for chunk in self._chunks(new):
            hidden = space.hidden[chunk]
            hidden += layer.self_attn.o_proj(space.queries[chunk].flatten(1))
            hidden += layer.mlp(layer.post_attention_layernorm(hidden))

    def _chunks(self, end: int) -> list[slice]:
        """A last one that is too short for the kernels goes with the one before."""
        begins = list(range(0, end, self._chunk))
        if len(begins) > 1 and end - begins[-1] < TOKENS_MIN:
            begins.pop()
        return [slice(a, b) for a, b in zip(begins, [*begins[1:], end], strict=True)]
