"""The attention kernel against the plain formula, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._prefill_attention import ffi, lib

BLOCK = lib.ATTENTION_BLOCK_TOKENS
HEADS = [(9, 3, 64), (4, 4, 128), (8, 1, 64), (6, 2, 192)]
Numbers = npt.NDArray[np.float32]

pytestmark = pytest.mark.skipif(
    not lib.attention_is_served(ffi.new("struct attention_heads *", HEADS[0])),
    reason="this processor has no AVX512_BF16",
)


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

    def attend(self, queries: npt.NDArray[np.uint16], tokens: int, pieces: int = 1) -> Numbers:
        found = queries.copy()
        tiles = lib.attention_tiles(self.of, len(queries))
        for piece in range(pieces):
            lib.attention_attend(
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


@given(
    st.sampled_from(HEADS), st.integers(0, 200), st.integers(1, 150), st.integers(1, 4), st.data()
)
def test_each_token_looks_at_all_before_it_and_itself(
    heads: tuple[int, int, int], cached: int, new: int, pieces: int, data: st.DataObject
) -> None:
    """To bfloat16's precision, wherever blocks lie, however they were stored and it is divided."""
    tokens = cached + new
    layer = Layer(heads, tokens, seed=tokens)
    cut = data.draw(st.integers(0, tokens))
    for begin, end in ((0, cut), (cut, tokens)):
        if begin < end:
            layer.store(begin, end)
    queries = to_bfloat16(layer.random.normal(size=(new, heads[0], heads[2])))
    found = layer.attend(queries, tokens, pieces)
    np.testing.assert_allclose(found, layer.expected(queries, tokens), atol=0.03)


def test_the_same_token_gets_the_same_bits_alone_and_among_others() -> None:
    layer = Layer(HEADS[0], 400, seed=1)
    layer.store(0, 400)
    queries = to_bfloat16(layer.random.normal(size=(300, 9, 64)))
    together = layer.attend(queries, 400)
    alone = layer.attend(queries[-1:], 400)
    np.testing.assert_array_equal(together[-1:], alone)


def test_large_scores_stay_finite() -> None:
    """And the highest takes it all."""
    layer = Layer(HEADS[0], 100, seed=2)
    layer.keys[:] = to_bfloat16(from_bfloat16(layer.keys) * 300)
    layer.store(0, 100)
    queries = to_bfloat16(layer.random.normal(size=(100, 9, 64)) * 300)
    found = layer.attend(queries, 100)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= np.abs(from_bfloat16(layer.values)).max() * 1.01


@pytest.mark.parametrize("heads", [(9, 3, 80), (9, 4, 64), (0, 1, 64), (1, 0, 64), (128, 1, 64)])
def test_other_heads_are_refused(heads: tuple[int, int, int]) -> None:
    assert not lib.attention_is_served(ffi.new("struct attention_heads *", heads))
