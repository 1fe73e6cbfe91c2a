"""Attention by this project's kernels (native/prefill_attention.c), up to twice as fast as vLLM's.

For bfloat16, on processors with AVX512_BF16, and by AMX where they have that too. Both products
are of bfloat16; keys and values lie in the order that both kinds of instructions take. Blocks of
the prefix cache are read and written in place, and the output needs no memory of its own. Tiles
are divided among as many threads as torch has.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import torch

from tiermem.errors import MissingError
from tiermem.native._prefill_attention import ffi, lib
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, TOGETHER_MAX
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.kv_blocks import KvBlocks, Table
from tiermem.serving.prefill_only.parts import Part

# The faster first.
_KERNELS = (lib.ATTENTION_AMX, lib.ATTENTION_AVX512)
# Pieces for each thread, so that none waits long for the others.
_PIECES = 4


class NativeAttention:
    """See `attention.LayerAttention`."""

    tokens_min = 1
    parts_max = TOGETHER_MAX

    @staticmethod
    def check(model: Dimensions, dtype: torch.dtype) -> None:
        """MissingError for other numbers, heads or processors than it is made for."""
        if dtype != torch.bfloat16 or not _served(_heads(model)):
            raise MissingError(
                f"no kernel for {dtype} in heads of {model.head_dim} on this processor"
            )

    def __init__(self, model: Dimensions, blocks: KvBlocks) -> None:
        self._heads = _heads(model)
        self._kernel = _served(self._heads)[0]
        assert lib.ATTENTION_BLOCK_TOKENS == BLOCK_TOKENS
        self._blocks, self._memory = blocks, _numbers(blocks.all)
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._parts: list[tuple[Part, Table]] = []
        self._tables: list[torch.Tensor] = []

    def begin(self, parts: Sequence[Part]) -> None:
        """A run of these inputs."""
        self._parts = [(part, self._blocks.table(part)) for part in parts]

    def enter(self, layer: int) -> None:
        """Nothing is copied."""
        self._tables = [table.numbers(layer) for _, table in self._parts]

    def store(self, rows: slice, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Keys and values `[rows, kv_heads, head_dim]` of these rows of the run."""
        if keys.stride() != values.stride() or keys.stride()[1:] != (keys.shape[2], 1):
            keys, values = keys.contiguous(), values.contiguous()
        for (part, _), table in zip(self._parts, self._tables, strict=True):
            begin, end = max(rows.start, part.row), min(rows.stop, part.rows.stop)
            if begin < end:
                lib.attention_store(
                    self._heads,
                    self._memory,
                    _table(table),
                    part.cached + begin - part.row,
                    end - begin,
                    _numbers(keys[begin - rows.start :]),
                    _numbers(values[begin - rows.start :]),
                    keys.stride(0),
                )

    def attend(self, queries: torch.Tensor, scale: float) -> None:
        """Of all rows; they become the output."""
        for (part, _), table in zip(self._parts, self._tables, strict=True):
            self._attend(queries[part.rows], table, len(part.tokens), scale)

    def attend_last(self, queries: torch.Tensor, scale: float) -> None:
        """Of the last row of each input; they become the output."""
        for row, ((part, _), table) in enumerate(zip(self._parts, self._tables, strict=True)):
            self._attend(queries[row : row + 1], table, len(part.tokens), scale)

    def _attend(
        self, queries: torch.Tensor, table: torch.Tensor, tokens: int, scale: float
    ) -> None:
        def compute(tiles: tuple[int, int]) -> None:
            lib.attention_attend(
                self._kernel,
                self._heads,
                self._memory,
                _table(table),
                tokens,
                queries.shape[0],
                _numbers(queries),
                scale,
                *tiles,
            )

        tiles = lib.attention_tiles(self._heads, queries.shape[0])
        pieces = min(tiles, self._threads * _PIECES)
        if self._pool is None or pieces == 1:
            compute((0, tiles))
            return
        bounds = [tiles * piece // pieces for piece in range(pieces + 1)]
        # The last tiles look at the most tokens.
        for _ in self._pool.map(compute, reversed(list(pairwise(bounds)))):
            pass


def _heads(model: Dimensions) -> Any:
    return ffi.new("struct attention_heads *", (model.heads, model.kv_heads, model.head_dim))


def _served(heads: Any) -> list[int]:
    """Kernels of this processor for such heads."""
    return [one for one in _KERNELS if lib.attention_is_served(one, heads)]


def _numbers(tensor: torch.Tensor) -> Any:
    return ffi.cast("uint16_t *", tensor.data_ptr())


def _table(tensor: torch.Tensor) -> Any:
    return ffi.cast("int32_t *", tensor.data_ptr())
