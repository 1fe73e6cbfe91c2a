"""Attention by vLLM's kernel for the CPU, which is about twice as fast there as torch's.

It reads keys and values from blocks, in an order that depends on the CPU's instructions, and
knows how to look from the last tokens back at a cached prefix, so no mask is needed. Its
output goes to memory of its own, ATTENTION_ROWS queries at a time.
"""

from __future__ import annotations

import torch
from vllm import _custom_ops as kernels
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend, _get_attn_isa

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.budget import ATTENTION_ROWS, BLOCK_TOKENS
from tiermem.serving.prefill_only.dimensions import Dimensions

_NO_WINDOW = -1


class VllmAttention:
    """See `attention.LayerAttention`."""

    def __init__(self, model: Dimensions, blocks: torch.Tensor) -> None:
        """MissingError for heads that the kernel does not take, or where it was not built."""
        sizes = CPUAttentionBackend.get_supported_head_sizes()
        if model.head_dim not in sizes or not hasattr(torch.ops._C, "cpu_attention_with_kv_cache"):
            raise MissingError(f"no kernel for heads of {model.head_dim} on {blocks.device}")
        shape = (blocks.shape[0], model.kv_heads, 2 * BLOCK_TOKENS, model.head_dim)
        self._keys, self._values = blocks.view(shape).chunk(2, dim=2)
        self._model = model
        self._instructions = _get_attn_isa(blocks.dtype, BLOCK_TOKENS, model.head_dim)
        self._table = torch.arange(blocks.shape[0], dtype=torch.int32)[None]

    def store(self, at: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[tokens, kv_heads, head_dim]`, from token `at` on."""
        places = torch.arange(at, at + keys.shape[0])
        kernels.cpu_attn_reshape_and_cache(
            keys, values, self._keys, self._values, places, self._instructions
        )

    def attend(self, queries: torch.Tensor, tokens: int, scale: float) -> None:
        """Queries `[new, heads, head_dim]` of the last tokens; they become the output."""
        new = queries.shape[0]
        for begin in range(0, new, ATTENTION_ROWS):
            rows = queries[begin : begin + ATTENTION_ROWS]
            rows.copy_(self._attended(rows, tokens - new + begin + rows.shape[0], scale))

    def _attended(self, queries: torch.Tensor, tokens: int, scale: float) -> torch.Tensor:
        lengths = torch.tensor([tokens], dtype=torch.int32)
        begins = torch.tensor([0, queries.shape[0]], dtype=torch.int32)
        output = torch.empty_like(queries)
        plan = kernels.cpu_attn_get_scheduler_metadata(
            num_reqs=1,
            num_heads=self._model.heads,
            num_kv_heads=self._model.kv_heads,
            head_dim=self._model.head_dim,
            seq_lens=lengths,
            dtype=queries.dtype,
            query_start_loc=begins,
            causal=True,
            sliding_window_size=_NO_WINDOW,
            isa=self._instructions,
            enable_kv_split=False,
        )
        kernels.cpu_attention_with_kv_cache(
            query=queries,
            key_cache=self._keys,
            value_cache=self._values,
            output=output,
            query_start_loc=begins,
            seq_lens=lengths,
            scale=scale,
            causal=True,
            alibi_slopes=None,
            sliding_window=_NO_WINDOW,
            block_table=self._table,
            softcap=0.0,
            scheduler_metadata=plan,
            s_aux=None,
        )
        return output
