"""Choosing a token, against what the definitions say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.prefill_only.sampling import (
    Sampling,
    choose_token,
    likeliest,
    log_probabilities,
)

LOGITS = st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=40).map(
    lambda values: np.array(values, dtype=np.float32)
)


@given(LOGITS)
def test_probabilities_are_a_softmax(logits: np.ndarray) -> None:
    exact = np.exp(logits.astype(np.longdouble))
    np.testing.assert_allclose(np.exp(log_probabilities(logits)), exact / exact.sum(), rtol=1e-9)


@given(LOGITS, st.data())
def test_only_allowed_tokens_are_chosen(logits: np.ndarray, data: st.DataObject) -> None:
    tokens = st.integers(0, len(logits) - 1)
    allowed = data.draw(st.lists(tokens, min_size=1))
    temperature = data.draw(st.sampled_from([0.0, 0.3, 1.0, 2.0]))
    options = Sampling(temperature=temperature, seed=1, allowed=allowed)
    chosen = choose_token(logits, options)
    assert chosen in allowed
    if not temperature:
        assert logits[chosen] == logits[allowed].max()
    assert choose_token(logits, options) == chosen


@given(LOGITS, st.floats(0.01, 1))
def test_top_p_leaves_the_fewest_that_have_the_share(logits: np.ndarray, top_p: float) -> None:
    shares = np.exp(log_probabilities(logits))
    chosen = choose_token(logits, Sampling(top_p=top_p, seed=3))
    assert shares[shares > shares[chosen]].sum() < top_p + 1e-9


def test_tokens_are_drawn_by_their_share() -> None:
    logits = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    drawn = Counter(choose_token(logits, Sampling(seed=seed)) for seed in range(2000))
    assert [drawn[token] / 2000 for token in range(3)] == pytest.approx([0.7, 0.2, 0.1], abs=0.04)


def test_bias_is_added_before_the_choice_and_not_told() -> None:
    logits = np.array([1.0, 2.0, 0.0], dtype=np.float32)
    assert choose_token(logits, Sampling(temperature=0, bias={2: 2.5})) == 2
    assert likeliest(log_probabilities(logits), 2) == [1, 0]
