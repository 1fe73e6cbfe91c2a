"""Attention by torch's fused kernels, and no other: nothing of input length squared is there.

Where no token is cached, one call without a mask. Behind a cached prefix torch's causal flag
would mean other tokens, so MASK_ROWS queries at a time get a mask of their own: it is not
longer than that many rows, and each output is summed up in the order of the one call, so that
a cached prefix changes no bit of it (the sum of two partial attentions would).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from tiermem.serving.prefill_only.budget import ATTENTION_ROWS, TOKENS_MIN
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.parts import Part

FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


class TorchAttention:
    """See `attention.LayerAttention`. A block: by token, keys and values of all heads."""

    tokens_min = TOKENS_MIN
    parts_max = 1

    @staticmethod
    def check(_model: Dimensions, _dtype: torch.dtype) -> None:
        """There is none that it does not take."""

    def __init__(self, model: Dimensions, blocks: KvBlocks) -> None:
        self._blocks = blocks
        self._tokens = blocks.work.view(-1, 2, model.kv_heads, model.head_dim)

    def begin(self, parts: Sequence[Part]) -> None:
        """A run of one input."""
        (self._part,) = parts

    def enter(self, layer: int) -> None:
        """The prefix is copied to where keys and values of all tokens lie in a row."""
        self._layer = layer
        self._blocks.read(layer, self._part.lease.read)

    def store(self, rows: slice, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[rows, kv_heads, head_dim]` of these rows of the run."""
        cached = self._part.cached
        there = self._tokens[cached + rows.start : cached + rows.stop]
        there[:, 0], there[:, 1] = keys, values

    def attend(self, queries: torch.Tensor, scale: float) -> None:
        """Of all rows; they become the output."""
        lease, cached, new = self._part.lease, self._part.cached, queries.shape[0]
        self._blocks.write(self._layer, lease.write, lease.written_from)
        with sdpa_kernel(FUSED):
            if not cached:
                self._attend_by_group(queries, new, scale, None)
                return
            for begin in range(0, new, ATTENTION_ROWS):
                end = min(begin + ATTENTION_ROWS, new)
                mask = _mask(end - begin, cached + end, queries)
                self._attend_by_group(queries[begin:end], cached + end, scale, mask)

    def attend_last(self, queries: torch.Tensor, scale: float) -> None:
        """Never asked for: one row alone would be summed up in another order."""
        raise NotImplementedError

    def _attend_by_group(
        self, queries: torch.Tensor, tokens: int, scale: float, mask: torch.Tensor | None
    ) -> None:
        """Heads of queries that share no head of keys at a time: one group's output is small."""
        new, heads, head_dim = queries.shape
        keys, values = self._tokens[:tokens].permute(1, 2, 0, 3)[:, None]
        groups = queries.view(new, keys.shape[1], heads // keys.shape[1], head_dim)
        for number in range(groups.shape[2]):
            group = groups[:, :, number].transpose(0, 1)[None]
            output = scaled_dot_product_attention(
                group, keys, values, attn_mask=mask, is_causal=mask is None and new > 1, scale=scale
            )
            group.copy_(output)


def _mask(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """The last `rows` of `columns` tokens see what is before them: 0, else minus infinity."""
    mask = torch.zeros((rows, columns), dtype=like.dtype, device=like.device)
    last = mask[:, columns - rows :]
    last.copy_(torch.full_like(last, float("-inf")).triu_(1))
    return mask
