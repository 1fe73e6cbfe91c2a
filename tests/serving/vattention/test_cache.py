"""Models generate with vAttention's cache as they do with a contiguous one, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tiermem.errors import ConfigError, NoSpaceError, TiermemError  # noqa: E402
from tiermem.serving.vattention import Ahead, VAttention, init  # noqa: E402
from tiermem.serving.vattention.cache import VirtualCache  # noqa: E402
from tiermem.serving.vattention.tensors import KvTensors, layout_of  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    StaticCache,
)

from bench.smollm2 import model_folder  # noqa: E402

GROUP = 64 << 10
PROMPTS = (
    "The capital of France is",
    "A short story about a lighthouse keeper who found, one winter morning, that",
    "Water boils at a temperature of one hundred degrees because",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,",
)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(1)
    found = AutoModelForCausalLM.from_pretrained(model_folder("float32"), dtype=torch.float32)
    return found.eval()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    found = AutoTokenizer.from_pretrained(model_folder("float32"), padding_side="left")
    found.pad_token = found.pad_token or found.eos_token
    return found


@pytest.fixture(scope="module")
def prompts(tokenizer: Any) -> list[Any]:
    return [tokenizer(text, return_tensors="pt").input_ids for text in PROMPTS]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def reserve(model: Any, memory_blocks: int = 60, **parameters: Any) -> VAttention:
    """vAttention for a model."""
    chosen = {"context_tokens": 512, "batch": 4, "group_bytes": GROUP} | parameters
    layout = layout_of(model.config, model.dtype, **chosen)
    return init(layout, memory_bytes=memory_blocks * layout.block_bytes, ahead=Ahead())


def logits_of(model: Any, prompt: Any, cache: Any, steps: int) -> list[Any]:
    """Of a prefill in two pieces, then of greedy steps."""
    half = prompt.shape[1] // 2
    seen = [model(prompt[:, :half], past_key_values=cache).logits]
    seen.append(model(prompt[:, half:], past_key_values=cache).logits)
    for _ in range(steps):
        token = seen[-1][:, -1:].argmax(-1)
        seen.append(model(token, past_key_values=cache).logits)
    return seen


@pytest.mark.parametrize("layers_together", [False, True])
def test_logits_are_those_of_a_contiguous_cache(
    model: Any, prompts: list[Any], layers_together: bool
) -> None:
    expected = logits_of(model, prompts[3], DynamicCache(config=model.config), steps=20)
    with reserve(model, memory_blocks=60, layers_together=layers_together) as kv:
        cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid()])
        seen = logits_of(model, prompts[3], cache, steps=20)
        assert all(map(torch.equal, seen, expected))
        assert kv.usage.mapped_blocks >= kv.layout.blocks_of(cache.tokens[0]) > 1
        assert not cache.is_compileable
        del cache


def test_generate_in_a_batch_with_padding(model: Any, tokenizer: Any) -> None:
    inputs = tokenizer(list(PROMPTS), return_tensors="pt", padding=True)
    wanted = {
        "do_sample": False,
        "max_new_tokens": 6,
        "return_dict_in_generate": True,
        "output_logits": True,
    }
    dynamic = model.generate(**inputs, **wanted, past_key_values=DynamicCache(config=model.config))
    static = model.generate(
        **inputs,
        **wanted,
        past_key_values=StaticCache(config=model.config, max_cache_len=512),
        disable_compile=True,
    )
    with reserve(model) as kv:
        cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid() for _ in PROMPTS])
        ours = model.generate(**inputs, **wanted, past_key_values=cache)
        assert torch.equal(ours.sequences, dynamic.sequences)
        assert torch.equal(ours.sequences, static.sequences)
        assert all(map(torch.equal, ours.logits, dynamic.logits))
        del cache, ours


def test_beam_search(model: Any, prompts: list[Any]) -> None:
    wanted = {"num_beams": 3, "do_sample": False, "max_new_tokens": 5}
    expected = model.generate(prompts[0], **wanted)
    with reserve(model) as kv:
        cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid() for _ in range(3)])
        assert torch.equal(model.generate(prompts[0], **wanted, past_key_values=cache), expected)
        del cache


def test_requests_of_different_lengths_that_come_and_go(model: Any, prompts: list[Any]) -> None:
    """Six requests, at most three at a time, with memory for a part of them."""
    asked = [(prompts[number % 4], 6 + 7 * (number % 3)) for number in range(6)]
    alone = [greedy(model, prompt, steps) for prompt, steps in asked]
    waiting, running, done = list(range(6)), {}, {}
    most = 0
    with reserve(model, memory_blocks=40, batch=3, layers_together=True) as kv:
        every = sum(kv.layout.blocks_of(sum(asked_tokens(one))) for one in asked)
        assert every > 3 * kv.usage.blocks // 2
        tensors = KvTensors(kv, model.dtype)
        while waiting or running:
            while waiting and kv.can_alloc(sum(asked_tokens(asked[waiting[0]]))):
                number = waiting.pop(0)
                prompt, _ = asked[number]
                req_id = kv.alloc_reqid(sum(asked_tokens(asked[number])))
                first = model(prompt, past_key_values=VirtualCache(tensors, [req_id])).logits
                running[req_id] = (number, [int(first[0, -1].argmax())])
            # The order of a batch is as it comes, so that rows are not always a view.
            req_ids = sorted(running, key=lambda req_id: running[req_id][0])
            cache = VirtualCache(tensors, req_ids)
            most = max(most, len(set(cache.tokens)))
            last = torch.tensor([[running[req_id][1][-1]] for req_id in req_ids])
            found = model(last, past_key_values=cache, **cache.decode_inputs()).logits
            for row, req_id in enumerate(req_ids):
                number, tokens = running[req_id]
                tokens.append(int(found[row, -1].argmax()))
                if len(tokens) == asked[number][1]:
                    done[number] = tokens
                    kv.free_reqid(req_id)
                    del running[req_id]
            del cache
        del tensors
    assert [done[number] for number in range(6)] == alone
    assert most > 1, "no two requests of a batch had different lengths"


def asked_tokens(asked: tuple[Any, int]) -> tuple[int, int]:
    """Of the prompt, and to be generated."""
    return asked[0].shape[1], asked[1]


def greedy(model: Any, prompt: Any, steps: int) -> list[int]:
    """What a request gets alone, from the model's own cache."""
    made = model.generate(prompt, do_sample=False, min_new_tokens=steps, max_new_tokens=steps)
    return [int(token) for token in made[0, prompt.shape[1] :]]


def test_a_padded_prompt_is_cut_to_its_tokens(
    model: Any, tokenizer: Any, prompts: list[Any]
) -> None:
    pair = [prompts[0], prompts[1]]
    lengths = [prompt.shape[1] for prompt in pair]
    padded = tokenizer.pad(
        {"input_ids": [prompt[0].tolist() for prompt in pair]},
        padding_side="right",
        return_tensors="pt",
    )
    with reserve(model) as kv:
        cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid(), kv.alloc_reqid()])
        logits = model(padded.input_ids, past_key_values=cache).logits
        cache.truncate(lengths)
        assert cache.tokens == tuple(lengths)
        last = torch.stack([logits[row, count - 1] for row, count in enumerate(lengths)])
        tokens = [[int(token)] for token in last.argmax(-1)]
        for _ in range(4):
            inputs = torch.tensor([row[-1:] for row in tokens])
            found = model(inputs, past_key_values=cache, **cache.decode_inputs()).logits
            for row, token in zip(tokens, found[:, -1].argmax(-1), strict=True):
                row.append(int(token))
        assert tokens == [greedy(model, prompt, 5) for prompt in pair]
        del cache, logits, found, last


def _small(kind: str, **parameters: Any) -> Any:
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 99}
    config = transformers.AutoConfig.for_model(kind, **sizes | parameters)
    torch.manual_seed(5)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("gpt2", {}),
        ("qwen3", {"num_key_value_heads": 2, "head_dim": 32, "intermediate_size": 96}),
        ("mistral", {"num_key_value_heads": 1, "sliding_window": 8, "intermediate_size": 96}),
        ("gemma2", {"num_key_value_heads": 2, "head_dim": 16, "sliding_window": 6}),
    ],
)
def test_other_models(kind: str, parameters: dict[str, Any]) -> None:
    model = _small(kind, **parameters)
    prompt = torch.arange(1, 24)[None]
    expected = logits_of(model, prompt, DynamicCache(), steps=10)
    with reserve(model, group_bytes=2 << 20) as kv:
        cache = VirtualCache(KvTensors(kv, model.dtype), [kv.alloc_reqid()])
        seen = logits_of(model, prompt, cache, steps=10)
        assert all(map(torch.equal, seen, expected))
        del cache


def test_what_it_cannot_do_is_said(model: Any, prompts: list[Any]) -> None:
    with reserve(model, memory_blocks=2) as kv:
        with pytest.raises(TiermemError, match="bfloat16: has not the layout's 4 bytes"):
            KvTensors(kv, torch.bfloat16)
        tensors = KvTensors(kv, model.dtype)
        with pytest.raises(TiermemError, match="reqId 0: is no request's"):
            VirtualCache(tensors, [0])
        first, second = kv.alloc_reqid(), kv.alloc_reqid()
        with pytest.raises(TiermemError, match="each of a batch is another"):
            VirtualCache(tensors, [first, first])
        cache = VirtualCache(tensors, [first])
        with pytest.raises(TiermemError, match=r"the cache holds torch.float32 \(1, 3, 5, 64\)"):
            model(prompts[0].repeat(2, 1)[:, :5], past_key_values=cache)
        model(prompts[0][:, :4], past_key_values=cache)
        with pytest.raises(TiermemError, match="different lengths get one token at a time"):
            model(prompts[0].repeat(2, 1), past_key_values=VirtualCache(tensors, [first, second]))
        with pytest.raises(NoSpaceError, match="are needed by all active requests, there are 2"):
            model(prompts[0].repeat(1, 40), past_key_values=cache)
        assert kv.tokens(first) == 4
        with pytest.raises(TiermemError, match="tensors of it are in use"):
            kv.backend.close()
        del cache, tensors
    config = transformers.AutoConfig.for_model(
        "lfm2", num_hidden_layers=2, layer_types=["conv", "full_attention"]
    )
    with pytest.raises(ConfigError, match="lfm2: has layers of conv"):
        layout_of(config, torch.float32, context_tokens=10, batch=1)
