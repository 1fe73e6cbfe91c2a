"""Attention by vLLM's kernel for the CPU, which is about twice as fast there as torch's.

It reads keys and values from blocks, in an order that depends on the CPU's instructions, and
knows how to look from the last tokens back at a cached prefix, so no mask is needed. Its
output goes to memory of its own, ATTENTION_ROWS queries at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from vllm import _custom_ops as kernels
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend, _get_attn_isa

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.budget import ATTENTION_ROWS, BLOCK_TOKENS, TOGETHER_MAX
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.kv_blocks import KvBlocks, Table
from tiermem.serving.prefill_only.parts import Part

_NO_WINDOW = -1


class VllmAttention:
    """See `attention.LayerAttention`."""

    tokens_min = 1
    parts_max = TOGETHER_MAX

    @staticmethod
    def check(model: Dimensions, _dtype: torch.dtype) -> None:
        """MissingError for heads that the kernel does not take, or where it was not built."""
        sizes = CPUAttentionBackend.get_supported_head_sizes()
        if model.head_dim not in sizes or not hasattr(torch.ops._C, "cpu_attention_with_kv_cache"):
            raise MissingError(f"no kernel of vLLM's for heads of {model.head_dim}")

    def __init__(self, model: Dimensions, blocks: KvBlocks) -> None:
        shape = (blocks.all.shape[0], model.kv_heads, 2 * BLOCK_TOKENS, model.head_dim)
        self._keys, self._values = blocks.all.view(shape).chunk(2, dim=2)
        self._model, self._blocks, self._dtype = model, blocks, blocks.all.dtype
        self._instructions = _get_attn_isa(self._dtype, BLOCK_TOKENS, model.head_dim)

    def begin(self, parts: Sequence[Part]) -> None:
        """A run of these inputs."""
        tables = [self._blocks.table(part) for part in parts]
        longest = max(len(table.first) for table in tables)
        first, step = torch.zeros((2, len(parts), longest), dtype=torch.int32)
        for number, table in enumerate(tables):
            first[number, : len(table.first)] = table.first
            step[number, : len(table.step)] = table.step
        self._table = Table(first, step)
        places = [torch.arange(part.cached, len(part.tokens)) for part in parts]
        inputs = [torch.full_like(at, number) for number, at in enumerate(places)]
        self._places, self._inputs = torch.cat(places), torch.cat(inputs)
        self._looks = self._whole(parts)
        self._last_looks = [self._look(parts, [1] * len(parts))]

    def enter(self, layer: int) -> None:
        """Nothing is copied."""
        self._numbers = self._table.numbers(layer)
        blocks = self._numbers[self._inputs, self._places // BLOCK_TOKENS].long()
        self._slots = blocks * BLOCK_TOKENS + self._places % BLOCK_TOKENS

    def store(self, rows: slice, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[rows, kv_heads, head_dim]` of these rows of the run."""
        kernels.cpu_attn_reshape_and_cache(
            keys, values, self._keys, self._values, self._slots[rows], self._instructions
        )

    def attend(self, queries: torch.Tensor, scale: float) -> None:
        """Of all rows; they become the output."""
        for look in self._looks:
            self._attend(queries[look.rows], look, scale)

    def attend_last(self, queries: torch.Tensor, scale: float) -> None:
        """Of the last row of each input; they become the output."""
        for look in self._last_looks:
            self._attend(queries[look.rows], look, scale)

    def _whole(self, parts: Sequence[Part]) -> list[_Look]:
        """Several inputs at once where they are short; else an input, some rows at a time."""
        if len(parts) > 1:
            return [self._look(parts, [part.new for part in parts])]
        (part,) = parts
        looks = []
        for begin in range(0, part.new, ATTENTION_ROWS):
            end = min(begin + ATTENTION_ROWS, part.new)
            looks.append(self._look(parts, [end - begin], begin, part.cached + end))
        return looks

    def _look(
        self, parts: Sequence[Part], new: Sequence[int], row: int = 0, tokens: int | None = None
    ) -> _Look:
        lengths = [len(part.tokens) if tokens is None else tokens for part in parts]
        begins = torch.tensor([0, *accumulate(new)], dtype=torch.int32)
        ends = torch.tensor(lengths, dtype=torch.int32)
        plan = kernels.cpu_attn_get_scheduler_metadata(
            num_reqs=len(parts),
            num_heads=self._model.heads,
            num_kv_heads=self._model.kv_heads,
            head_dim=self._model.head_dim,
            seq_lens=ends,
            dtype=self._dtype,
            query_start_loc=begins,
            causal=True,
            sliding_window_size=_NO_WINDOW,
            isa=self._instructions,
            enable_kv_split=False,
        )
        return _Look(slice(row, row + sum(new)), begins, ends, plan)

    def _attend(self, queries: torch.Tensor, look: _Look, scale: float) -> None:
        output = torch.empty_like(queries)
        kernels.cpu_attention_with_kv_cache(
            query=queries,
            key_cache=self._keys,
            value_cache=self._values,
            output=output,
            query_start_loc=look.begins,
            seq_lens=look.lengths,
            scale=scale,
            causal=True,
            alibi_slopes=None,
            sliding_window=_NO_WINDOW,
            block_table=self._numbers,
            softcap=0.0,
            scheduler_metadata=look.plan,
            s_aux=None,
        )
        queries.copy_(output)


@dataclass(frozen=True, slots=True)
class _Look:
    """One call of the kernel: rows of the run, and what it has to know of their inputs."""

    rows: slice
    begins: torch.Tensor
    lengths: torch.Tensor
    plan: torch.Tensor
