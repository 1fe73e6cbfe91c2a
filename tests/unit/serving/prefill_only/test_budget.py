"""How memory is divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import ConfigError
from tiermem.serving.prefill_only.budget import (
    BLOCK_TOKENS,
    AttentionKind,
    Kernels,
    block_bytes,
    divide,
    layer_bytes,
    passing_bytes,
    workspace_bytes,
)
from tiermem.serving.prefill_only.dimensions import Dimensions

SMOLLM2 = Dimensions(
    layers=30,
    hidden=576,
    intermediate=1536,
    heads=9,
    kv_heads=3,
    head_dim=64,
    vocab=49152,
    item_bytes=4,
    context_tokens=8192,
)
OURS = Kernels("native", is_packed=True)
GIB = 1 << 30


def test_kv_of_a_token_is_as_long_as_all_layers() -> None:
    assert SMOLLM2.kv_token_bytes == 46080
    assert block_bytes(SMOLLM2) == BLOCK_TOKENS * 46080


def test_the_workspace_has_one_layer() -> None:
    """Hidden states, queries, keys, values, cosines and sines, of 4 bytes each."""
    assert workspace_bytes(SMOLLM2, 1024) == 1024 * 4 * (576 + 576 + 2 * 192 + 2 * 64)
    assert workspace_bytes(SMOLLM2, 1000) == workspace_bytes(SMOLLM2, 1024)


@given(st.integers(1, 8192), st.integers(0, 4 * GIB), st.integers(0, GIB), st.integers(32, 2048))
def test_the_parts_never_exceed_the_whole(
    tokens: int, memory: int, measured: int, chunk: int
) -> None:
    """And no block that would fit is left out; or one line says how much is needed."""
    try:
        budget = divide(
            SMOLLM2, memory, tokens, chunk_tokens=chunk, threads=2, measured_bytes=measured
        )
    except ConfigError as error:
        needed = int(str(error).split(" needs ")[1].split()[0])
        assert needed > memory
        assert (
            divide(
                SMOLLM2, needed, tokens, chunk_tokens=chunk, threads=2, measured_bytes=measured
            ).cache_blocks
            == 0
        )
        return
    used = budget.input_bytes + budget.cache_bytes
    assert used <= memory < used + budget.block_bytes
    assert budget.input_bytes >= measured
    assert budget.kv_bytes == budget.cache_bytes + layer_bytes(SMOLLM2, tokens)


@given(st.integers(1, 8191), st.integers(32, 2048))
def test_longer_inputs_need_no_less(tokens: int, chunk: int) -> None:
    for of in (
        lambda n: passing_bytes(SMOLLM2, n, chunk, 1),
        lambda n: workspace_bytes(SMOLLM2, n),
    ):
        assert of(tokens) <= of(tokens + 1)


def test_inputs_that_run_together_have_logits_each() -> None:
    alone = divide(SMOLLM2, GIB, 1024, kernels=OURS)
    together = divide(SMOLLM2, GIB, 1024, together=8, kernels=OURS)
    assert together.input_bytes - alone.input_bytes >= 7 * SMOLLM2.vocab * SMOLLM2.item_bytes


def test_where_memory_is_little_fewer_run_together() -> None:
    """Their logits take a sixteenth at most, and never what the longest input needs."""

    def together(memory_bytes: int, kernels: Kernels = OURS) -> int:
        options = {"chunk_tokens": 128, "together": 8}
        return divide(SMOLLM2, memory_bytes, 256, kernels=kernels, **options).together

    barely = passing_bytes(SMOLLM2, 256, 128, 1, OURS) + workspace_bytes(SMOLLM2, 256)
    assert [together(memory) for memory in (barely, 40 << 20, GIB)] == [1, 4, 8]
    # It takes one at a time.
    assert together(GIB, Kernels("torch", is_packed=True)) == 1


@given(st.integers(1, 8192), st.sampled_from(["native", "vllm"]), st.booleans())
def test_no_kernels_take_more_than_those_that_are_taken_for_granted(
    tokens: int, attention: AttentionKind, is_packed: bool
) -> None:
    found = passing_bytes(SMOLLM2, tokens, 512, 1, Kernels(attention, is_packed))
    assert found <= passing_bytes(SMOLLM2, tokens, 512, 1)


def test_the_packed_kernels_and_ours_for_attention_hardly_need_more_for_longer_inputs() -> None:
    """Beside what is held, which is what lets an input be long."""
    short, long = (passing_bytes(SMOLLM2, tokens, 128, 1, OURS) for tokens in (160, 8192))
    assert long - short <= 50 * (8192 - 160)


@pytest.mark.parametrize("tokens", [0, 8193])
def test_an_input_beyond_the_context_is_refused(tokens: int) -> None:
    with pytest.raises(ConfigError, match="1 to 8192"):
        divide(SMOLLM2, GIB, tokens)
