"""The attention kernels against the plain formula, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._prefill_attention import ffi, lib

from tests.unit.serving.prefill_only.attention_layer import (
    HEADS,
    KERNELS,
    Layer,
    from_bfloat16,
    to_bfloat16,
)

of_each_kernel = pytest.mark.parametrize(
    "kernel",
    [
        pytest.param(
            kernel,
            id=name,
            marks=pytest.mark.skipif(
                not lib.attention_is_served(kernel, ffi.new("struct attention_heads *", HEADS[0])),
                reason=f"this processor has no {name}",
            ),
        )
        for name, kernel in KERNELS.items()
    ],
)


@of_each_kernel
@given(st.sampled_from(HEADS), st.integers(0, 200), st.integers(1, 150), st.data())
def test_each_token_looks_at_all_before_it_and_itself(
    kernel: int, heads: tuple[int, int, int], cached: int, new: int, data: st.DataObject
) -> None:
    """To bfloat16's precision, wherever blocks lie, however they were stored and it is divided."""
    tokens = cached + new
    layer = Layer(heads, tokens, seed=tokens)
    cut = data.draw(st.integers(0, tokens))
    for begin, end in ((0, cut), (cut, tokens)):
        if begin < end:
            layer.store(begin, end)
    queries = to_bfloat16(layer.random.normal(size=(new, heads[0], heads[2])))
    found = layer.attend(kernel, queries, tokens, pieces=data.draw(st.integers(1, 4)))
    np.testing.assert_allclose(found, layer.expected(queries, tokens), atol=0.03)


@of_each_kernel
def test_the_same_token_gets_the_same_bits_alone_and_among_others(kernel: int) -> None:
    layer = Layer(HEADS[0], 400, seed=1)
    layer.store(0, 400)
    queries = to_bfloat16(layer.random.normal(size=(300, 9, 64)))
    together = layer.attend(kernel, queries, 400)
    alone = layer.attend(kernel, queries[-1:], 400)
    np.testing.assert_array_equal(together[-1:], alone)


@of_each_kernel
def test_large_scores_stay_finite(kernel: int) -> None:
    """And the highest takes it all, where it is far above the others."""
    layer = Layer(HEADS[0], 100, seed=2)
    layer.keys[:] = to_bfloat16(from_bfloat16(layer.keys) * 300)
    layer.store(0, 100)
    queries = to_bfloat16(layer.random.normal(size=(100, 9, 64)) * 300)
    found = layer.attend(kernel, queries, 100)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= np.abs(from_bfloat16(layer.values)).max() * 1.01
    scores = np.einsum(
        "qhd,khd->hqk",
        from_bfloat16(queries).astype(float),
        from_bfloat16(layer.keys).astype(float).repeat(3, axis=1),
    )
    scores[:, ~np.tri(100, dtype=bool)] = -np.inf
    values = from_bfloat16(layer.values).repeat(3, axis=1)
    for head, query in np.ndindex(9, 100):
        second, first = np.sort(scores[head, query])[-2:] if query else (-np.inf, 0)
        if first - second > 200:
            highest = values[scores[head, query].argmax(), head]
            np.testing.assert_allclose(found[query, head], highest, rtol=0.01)


@of_each_kernel
@pytest.mark.parametrize("above", [3, 7, 9, 20])
def test_a_later_key_that_is_above_all_others_makes_them_shrink(kernel: int, above: int) -> None:
    """By so many powers of two: what was summed up before weighs as much less."""
    layer = Layer(HEADS[0], 300, seed=5)
    layer.keys[:] = 0
    layer.keys[250, :, 0] = to_bfloat16(np.array([1.0]))
    layer.store(0, 300)
    queries = np.zeros((300, 9, 64))
    queries[:, :, 0] = above * np.log(2) * 8
    found = layer.attend(kernel, to_bfloat16(queries), 300)
    expected = layer.expected(to_bfloat16(queries), 300)
    np.testing.assert_allclose(found, expected, atol=0.004, rtol=0.01)


@of_each_kernel
def test_scores_that_rise_and_fall_by_far_leave_the_highest_what_is_theirs(kernel: int) -> None:
    """A later key's score is hundreds above those before it, or far below."""
    layer = Layer(HEADS[0], 300, seed=3)
    grown = from_bfloat16(layer.keys) * np.linspace(40, 0.1, 300)[:, None, None] ** 0.5
    layer.keys[:] = to_bfloat16(grown[layer.random.permutation(300)])
    layer.store(0, 300)
    queries = to_bfloat16(layer.random.normal(size=(300, 9, 64)) * 20)
    found = layer.attend(kernel, queries, 300)
    np.testing.assert_allclose(found, layer.expected(queries, 300), atol=0.1)


@of_each_kernel
def test_small_numbers_are_kept_elsewhere_though_the_kernel_drops_them(kernel: int) -> None:
    """What the processor does with them is a setting of the thread."""
    layer = Layer(HEADS[0], 40, seed=4)
    layer.store(0, 40)
    layer.attend(kernel, to_bfloat16(layer.random.normal(size=(40, 9, 64))), 40)
    assert np.float32(1e-39) * np.float32(0.5) > 0


@pytest.mark.parametrize("kernel", KERNELS.values())
@pytest.mark.parametrize("heads", [(9, 3, 80), (9, 4, 64), (0, 1, 64), (1, 0, 64), (128, 1, 64)])
def test_other_heads_are_refused(kernel: int, heads: tuple[int, int, int]) -> None:
    assert not lib.attention_is_served(kernel, ffi.new("struct attention_heads *", heads))
