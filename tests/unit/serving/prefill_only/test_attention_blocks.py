"""Where keys and values of a token lie in its block; on any processor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._prefill_attention import lib

from tests.unit.serving.prefill_only.attention_layer import BLOCK, HEADS, Layer

LANES = lib.ATTENTION_LANES


def keys_and_values(layer: Layer, number: int) -> npt.NDArray[np.uint16]:
    """`[2, tokens, kv_heads, head_dim]` of the input's block of that number."""
    _, kv_heads, head_dim = layer.heads
    block = layer.blocks[layer.table[number]].reshape(kv_heads, 2, BLOCK * head_dim)
    keys = block[:, 0].reshape(kv_heads, BLOCK // LANES, head_dim // 2, LANES, 2)
    values = block[:, 1].reshape(kv_heads, BLOCK // 2, head_dim, 2)
    return np.stack(
        [
            keys.transpose(1, 3, 0, 2, 4).reshape(BLOCK, kv_heads, head_dim),
            values.transpose(1, 3, 0, 2).reshape(BLOCK, kv_heads, head_dim),
        ]
    )


@given(st.sampled_from(HEADS), st.integers(1, 100), st.data())
def test_pairs_of_numbers_of_sixteen_keys_and_numbers_of_two_values_lie_side_by_side(
    heads: tuple[int, int, int], tokens: int, data: st.DataObject
) -> None:
    """However they were stored; behind the last token there are zeros, other blocks stay."""
    layer = Layer(heads, tokens, seed=tokens)
    before = layer.blocks.copy()
    cut = data.draw(st.integers(0, tokens))
    for begin, end in ((0, cut), (cut, tokens)):
        if begin < end:
            layer.store(begin, end)
    found = [keys_and_values(layer, number) for number in range(len(layer.table))]
    stored = np.concatenate(found, axis=1)
    np.testing.assert_array_equal(stored[:, :tokens], [layer.keys, layer.values])
    assert not stored[:, tokens:].any()
    others = np.setdiff1d(np.arange(len(before)), layer.table)
    np.testing.assert_array_equal(layer.blocks[others], before[others])
