"""Attention of new tokens to all tokens before them, in one layer, written over the queries.

Nothing of input length squared is ever there: torch's fused kernels are asked for, and no
other. Where no token is cached, one call without a mask. Behind a cached prefix torch's causal
flag would mean other tokens, so MASK_ROWS queries at a time get a mask of their own: it is not
longer than that many rows, and each output is summed up in the order of the one call, so a
cached prefix changes no bit of it (the sum of two partial attentions would).
"""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from tiermem.serving.prefill_only.budget import MASK_ROWS

FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]


def attend(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> None:
    """queries: `[new, heads, head_dim]` of the last tokens, becomes the output. keys, values:
    `[all, kv_heads, head_dim]`."""
    new, cached = queries.shape[0], keys.shape[0] - queries.shape[0]
    with sdpa_kernel(FUSED):
        if not cached:
            _attend_by_group(queries, keys, values, scale, None)
            return
        for begin in range(0, new, MASK_ROWS):
            end = min(begin + MASK_ROWS, new)
            mask = _mask(end - begin, cached + end, queries)
            there = slice(0, cached + end)
            _attend_by_group(queries[begin:end], keys[there], values[there], scale, mask)


def _attend_by_group(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    mask: torch.Tensor | None,
) -> None:
    """Heads of queries that share no head of keys at a time: one group's output is small."""
    tokens, heads, head_dim = queries.shape
    kv_heads = keys.shape[1]
    grouped = queries.view(tokens, kv_heads, heads // kv_heads, head_dim)
    keys, values = keys.transpose(0, 1)[None], values.transpose(0, 1)[None]
    for number in range(heads // kv_heads):
        group = grouped[:, :, number].transpose(0, 1)[None]
        output = scaled_dot_product_attention(
            group, keys, values, attn_mask=mask, is_causal=mask is None and tokens > 1, scale=scale
        )
        group.copy_(output)


def _mask(rows: int, columns: int, like: torch.Tensor) -> torch.Tensor:
    """The last `rows` of `columns` tokens see what is before them: 0, else minus infinity."""
    mask = torch.zeros((rows, columns), dtype=like.dtype, device=like.device)
    last = mask[:, columns - rows :]
    last.copy_(torch.full_like(last, float("-inf")).triu_(1))
    return mask
