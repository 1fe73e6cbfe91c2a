"""The attention kernel against the plain formula, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._prefill_attention import ffi, lib

from tests.unit.serving.prefill_only.attention_layer import (
    HEADS,
    Layer,
    from_bfloat16,
    to_bfloat16,
)

pytestmark = pytest.mark.skipif(
    not lib.attention_is_served(ffi.new("struct attention_heads *", HEADS[0])),
    reason="this processor has no AVX512_BF16",
)


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
