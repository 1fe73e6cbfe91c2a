"""Logits are those of a plain prefill, whatever is cached and whatever is dropped."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from tiermem.errors import ConfigError, MissingError
from tiermem.serving.prefill_only.decoder import make_decoder
from tiermem.serving.prefill_only.executor import Executor, InputError
from tiermem.serving.prefill_only.families import check
from transformers import AutoConfig, AutoModelForCausalLM

from tests.serving.prefill_only.models import (
    decoder_of,
    difference,
    difference_of,
    executor,
    plain,
    smollm2,
    tokens_of,
)

# In fp32, logits being of some tens. Behind a cached prefix torch's kernels may sum up in another
# order.
CLOSE = 1e-3


@pytest.mark.parametrize("attention", ["torch", "vllm"])
@pytest.mark.parametrize("count", [1, 31, 33, 200, 700])
def test_an_input_of_any_length(attention: Any, count: int) -> None:
    """With torch's kernels, called as transformers calls them, the very bits."""
    model = smollm2()
    most = difference(executor(model, attention=attention), model, tokens_of(1, count))
    assert most < CLOSE
    assert attention != "torch" or most == 0


@pytest.mark.parametrize("attention", ["torch", "vllm"])
def test_a_cached_prefix_changes_nothing(attention: Any) -> None:
    model = smollm2()
    ours = executor(model, attention=attention)
    prefix = tokens_of(1, 300)
    for seed, own in ((2, 100), (3, 1), (4, 40), (5, 600)):
        tokens = prefix + tokens_of(seed, own)
        found = ours.prefill(tokens, ours.keys(tokens))
        # Whole blocks; torch's kernels sum up fewer than 32 tokens in another order.
        most = (len(tokens) - (32 if attention == "torch" else 1)) // 32 * 32
        assert found.cached_tokens == (0 if seed == 2 else min(288, most))
        logits = torch.from_numpy(found.logits)
        expected = plain(model, tokens)
        assert (logits - expected).abs().max() < CLOSE
        assert logits.argmax() == expected.argmax()


def test_inputs_that_run_together_are_computed_as_each_alone() -> None:
    """Behind a shared prefix, behind another one, and behind none."""
    model = smollm2()
    ours = executor(model, attention="vllm")
    shared, other = tokens_of(1, 300), tokens_of(2, 200)
    for prefix in (shared, other):
        ours.prefill(prefix, ours.keys(prefix))
    inputs = [shared + tokens_of(3, 5), other + tokens_of(4, 90), tokens_of(5, 40)]
    inputs.append(shared + tokens_of(6, 50))
    found = ours.prefill_all([(tokens, ours.keys(tokens)) for tokens in inputs])
    assert [one.cached_tokens for one in found] == [288, 192, 0, 288]
    for one, tokens in zip(found, inputs, strict=True):
        assert difference_of(one, model, tokens) < CLOSE
    # What each kept is there for the next one.
    for tokens in inputs:
        assert difference(ours, model, tokens) < CLOSE


def test_what_does_not_fit_into_one_run_takes_several() -> None:
    model = smollm2()
    ours = executor(model, max_input_tokens=300, attention="vllm", cache_blocks=2)
    inputs = [tokens_of(seed, 140) for seed in range(5)]
    found = ours.prefill_all([(tokens, ours.keys(tokens)) for tokens in inputs])
    for one, tokens in zip(found, inputs, strict=True):
        assert difference_of(one, model, tokens) < CLOSE
    assert ours.cache.used_blocks == 2


@pytest.mark.parametrize("threads", [1, 3])
def test_in_bfloat16_all_kernels_round_alike(threads: int) -> None:
    """No further from fp32 than a plain prefill in bfloat16 is, but for a third more."""
    model, exact = smollm2("bfloat16"), smollm2()
    prefix = tokens_of(1, 500)
    tokens = prefix + tokens_of(2, 40)
    expected = plain(exact, tokens)
    limit = float((plain(model, tokens) - expected).abs().max()) * 4 / 3
    torch.set_num_threads(threads)
    try:
        for attention in ("vllm", "auto"):
            ours = executor(model, attention=attention)
            ours.prefill(prefix, ours.keys(prefix))
            found = ours.prefill(tokens, ours.keys(tokens))
            assert found.cached_tokens == 480
            assert difference_of(found, exact, tokens) < limit
    finally:
        torch.set_num_threads(1)


def test_weights_are_there_once() -> None:
    """Packing takes them from the model, but for the embedding that is the head as well."""
    model = deepcopy(smollm2())
    whole = sum(one.numel() for one in model.parameters())
    make_decoder("vllm", model)
    kept = sum(one.numel() for one in model.parameters())
    embedding = model.model.embed_tokens.weight.numel()
    assert embedding <= kept < embedding + 0.001 * whole


def test_a_dropped_suffix_changes_nothing() -> None:
    """Of 700 tokens 4 blocks are kept; then others take their places."""
    model = smollm2()
    ours = executor(model, cache_blocks=4)
    first, second = tokens_of(1, 700), tokens_of(2, 300)
    kept = ours.prefill(first, ours.keys(first)).kept_tokens
    assert kept == 4 * 32
    assert ours.cached_tokens(ours.keys(first), len(first)) == kept
    assert difference(ours, model, first) < CLOSE
    assert difference(ours, model, second) < CLOSE
    assert ours.cached_tokens(ours.keys(first), len(first)) == 0
    assert difference(ours, model, first) < CLOSE


def test_another_salt_shares_nothing() -> None:
    ours = executor(smollm2())
    tokens = tokens_of(1, 100)
    ours.prefill(tokens, ours.keys(tokens, salt="a"))
    assert ours.cached_tokens(ours.keys(tokens, salt="a"), 100) == 64
    assert ours.cached_tokens(ours.keys(tokens, salt="b"), 100) == 0


def test_a_prefill_that_fails_leaves_no_block() -> None:
    model = smollm2()
    ours = executor(model)
    tokens = tokens_of(1, 200)
    layer = model.model.layers[7]

    def fail(*_args: Any) -> None:
        raise RuntimeError("out of something")

    hook = layer.mlp.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of something"):
        ours.prefill(tokens, ours.keys(tokens))
    hook.remove()
    assert ours.cache.used_blocks == 0
    assert difference(ours, model, tokens) < CLOSE


@pytest.mark.parametrize("chunk", [32, 100, 512])
def test_chunks_of_any_size(chunk: int) -> None:
    model = smollm2()
    assert difference(executor(model, chunk_tokens=chunk), model, tokens_of(1, 333)) < CLOSE


def test_in_bfloat16_torchs_kernels_choose_the_same_token() -> None:
    """They round in an order that hangs on the processor and on how many rows there are."""
    model = smollm2("bfloat16")
    tokens = tokens_of(1, 600)
    ours = executor(model)
    logits = ours.prefill(tokens, ours.keys(tokens)).logits
    expected = plain(model, tokens).numpy()
    np.testing.assert_allclose(logits, expected, atol=0.5)
    assert logits.argmax() == expected.argmax()


@pytest.mark.parametrize("wrong", [[], [1] * 1025, [0, 49152], [-1]])
def test_an_input_that_is_none_is_refused(wrong: list[int]) -> None:
    ours = executor(smollm2())
    with pytest.raises(InputError, match=r"1 to 1024|0 to 49151"):
        ours.prefill(wrong, ours.keys(wrong))
    assert ours.cache.used_blocks == 0


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("llama", {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}),
        ("mistral", {"sliding_window": None, "num_key_value_heads": 4, "head_dim": 48}),
        ("qwen2", {"num_key_value_heads": 2}),
    ],
)
@pytest.mark.parametrize("attention", ["torch", "auto"])
def test_families(family: str, more: dict[str, Any], attention: Any) -> None:
    torch.manual_seed(1)
    sizes = {
        "hidden_size": 128,
        "intermediate_size": 320,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "vocab_size": 500,
        "max_position_embeddings": 2048,
    }
    config = AutoConfig.for_model(family, **(sizes | more))
    check(config, "made up")
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    ours = executor(model, attention=attention)
    prefix = tokens_of(1, 600, vocab=500)
    for own in (50, 70):
        assert difference(ours, model, prefix + tokens_of(own, own, vocab=500)) < CLOSE


@pytest.mark.parametrize(
    ("family", "more", "named"),
    [
        ("gpt2", {}, "gpt2; served are llama, mistral, qwen2"),
        ("mistral", {"sliding_window": 64}, "sliding_attention"),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ("llama", {"quantization_config": {"quant_method": "awq"}}, "quantised"),
    ],
)
def test_what_is_not_served_is_named(family: str, more: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        check(AutoConfig.for_model(family, **more), "a model")


def test_the_native_kernel_serves_transformers_modules_as_well() -> None:
    """As on a host without vLLM."""
    model = smollm2("bfloat16")
    ours = executor(model, attention="torch")
    try:
        native = Executor(
            decoder_of(model, "torch"), ours.dimensions, ours.budget, attention="native"
        )
    except MissingError as error:
        pytest.skip(str(error))
    tokens = tokens_of(1, 600)
    for _ in range(2):
        found = native.prefill(tokens, native.keys(tokens))
        expected = plain(model, tokens).numpy()
        np.testing.assert_allclose(found.logits, expected, atol=0.5)
        assert found.logits.argmax() == expected.argmax()
