"""Attention by torch's fused kernels, and no other: nothing of input length squared is there.

Where no token is cached, one call without a mask. Behind a cached prefix torch's causal flag
would mean other tokens, so MASK_ROWS queries at a time get a mask of their own: it is not
longer than that many rows, and each output is summed up in the order of the one call, so that
a cached prefix changes no bit of it (the sum of two partial attentions would).
"""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from tiermem.serving.prefill_only.budget import ATTENTION_ROWS
from tiermem.serving.prefill_only.dimensions import Dimensions

FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


class TorchAttention:
    """See `attention.LayerAttention`. A block: by token, keys and values of all heads."""

    def __init__(self, model: Dimensions, blocks: torch.Tensor) -> None:
        self._tokens = blocks.view(-1, 2, model.kv_heads, model.head_dim)

    def store(self, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[tokens, kv_heads, head_dim]`, from token `at` on."""
        there = self._tokens[at : at + keys.shape[0]]
        there[:, 0], there[:, 1] = keys, values

    def attend(self, queries: torch.Tensor, tokens: int, scale: float) -> None:
        """Queries `[new, heads, head_dim]` of the last tokens; they become the output."""
        new = queries.shape[0]
        cached = tokens - new
        with sdpa_kernel(FUSED):
            if not cached:
                self._attend_by_group(queries, tokens, scale, None)
                return
            for begin in range(0, new, ATTENTION_ROWS):
                end = min(begin + ATTENTION_ROWS, new)
                mask = _mask(end - begin, cached + end, queries)
                self._attend_by_group(queries[begin:end], cached + end, scale, mask)

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
