"""One layer's keys and values in blocks, as the attention kernel reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from tiermem.native._prefill_attention import ffi, lib

BLOCK = lib.ATTENTION_BLOCK_TOKENS
# Of queries, of keys, and numbers of each.
HEADS = [(9, 3, 64), (4, 4, 128), (14, 2, 64), (6, 2, 192), (2, 1, 256), (96, 1, 64)]
KERNELS = {"AVX512_BF16": lib.ATTENTION_AVX512, "AMX": lib.ATTENTION_AMX}
Numbers = npt.NDArray[np.float32]


def to_bfloat16(numbers: Numbers) -> npt.NDArray[np.uint16]:
    """What the kernel reads, cut off."""
    return (np.ascontiguousarray(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def from_bfloat16(numbers: npt.NDArray[np.uint16]) -> Numbers:
    return (numbers.astype(np.uint32) << 16).view(np.float32)


class Layer:
    """Keys and values of one input, in blocks that lie anywhere, amid numbers that are none."""

    def __init__(self, heads: tuple[int, int, int], tokens: int, seed: int) -> None:
        self.heads, self.random = heads, np.random.default_rng(seed)
        self.of = ffi.new("struct attention_heads *", heads)
        count = -(-tokens // BLOCK)
        self.table = self.random.permutation(count + 3)[:count].astype(np.int32)
        _, kv_heads, head_dim = heads
        self.blocks = to_bfloat16(np.full((count + 3, 2 * BLOCK * kv_heads * head_dim), np.nan))
        self.keys, self.values = (
            to_bfloat16(self.random.normal(size=(tokens, kv_heads, head_dim))) for _ in range(2)
        )

    def store(self, begin: int, end: int) -> None:
        keys, values = self.keys[begin:end].copy(), self.values[begin:end].copy()
        lib.attention_store(
            self.of,
            pointer(self.blocks),
            ffi.cast("int32_t *", self.table.ctypes.data),
            begin,
            end - begin,
            pointer(keys),
            pointer(values),
            keys[0].size,
        )

    def attend(
        self, kernel: int, queries: npt.NDArray[np.uint16], tokens: int, pieces: int = 1
    ) -> Numbers:
        found = queries.copy()
        tiles = lib.attention_tiles(self.of, len(queries))
        for piece in range(pieces):
            lib.attention_attend(
                kernel,
                self.of,
                pointer(self.blocks),
                ffi.cast("int32_t *", self.table.ctypes.data),
                tokens,
                len(queries),
                pointer(found),
                self.heads[2] ** -0.5,
                tiles * piece // pieces,
                tiles * (piece + 1) // pieces,
            )
        return from_bfloat16(found)

    def expected(self, queries: npt.NDArray[np.uint16], tokens: int) -> Numbers:
        heads, kv_heads, head_dim = self.heads
        keys, values = (
            from_bfloat16(of[:tokens]).astype(float).repeat(heads // kv_heads, axis=1)
            for of in (self.keys, self.values)
        )
        scores = np.einsum("qhd,khd->hqk", from_bfloat16(queries).astype(float), keys)
        seen = np.tri(len(queries), tokens, tokens - len(queries), bool)
        shares = np.where(seen, np.exp(scores * head_dim**-0.5), 0)
        shares /= shares.sum(axis=2, keepdims=True)
        return np.einsum("hqk,khd->qhd", shares, values)


def pointer(numbers: npt.NDArray[np.uint16]) -> Any:
    return ffi.cast("uint16_t *", numbers.ctypes.data)
