"""What is served, and what is refused by name."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tiermem.serving.prefill_only.openai_requests import (
    BadRequestError,
    ChatRequest,
    CompletionRequest,
    read_request,
)

COMPLETION = {"model": "m", "prompt": "yes or no?", "max_tokens": 1}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "?"}], "max_completion_tokens": 1}


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a", ["a"]),
        ([1, 2], [[1, 2]]),
        (["a", "b"], ["a", "b"]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_prompts_are_texts_or_tokens_one_or_several(prompt: Any, prompts: Any) -> None:
    assert read_request(COMPLETION | {"prompt": prompt}, CompletionRequest).prompts() == prompts


def test_what_clients_send_by_default_is_taken() -> None:
    defaults = {"n": 1, "stream": False, "presence_penalty": 0.0, "user": "u", "stop": None}
    read_request(COMPLETION | defaults, CompletionRequest)
    read_request(CHAT | defaults, ChatRequest)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": 2}, "max_tokens"),
        ({"stream": True}, "stream"),
        ({"n": 2}, "n"),
        ({"echo": True}, "echo"),
        ({"stop": ["\n"]}, "stop"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"logprobs": 21}, "logprobs"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"guided_regex": "a"}, "guided_regex"),
        ({"seed": 1 << 64}, "seed"),
    ],
)
def test_what_is_not_served_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read_request(COMPLETION | change, CompletionRequest).prompts()
    assert caught.value.param == param
    assert param in str(caught.value)
    assert "\n" not in str(caught.value)


def test_how_many_tokens_has_to_be_said() -> None:
    """Its default elsewhere is not 1."""
    with pytest.raises(BadRequestError, match="max_tokens"):
        read_request({"model": "m", "prompt": "a"}, CompletionRequest)
    without = {key: value for key, value in CHAT.items() if key != "max_completion_tokens"}
    with pytest.raises(BadRequestError, match="must be 1"):
        read_request(without, ChatRequest)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ([{}] * 300_000, "prompt.tokens.0: "),
        ([[1.5] * 300_000], "prompt.inputs.0.0: "),
        (["a", *([1] * 300_000)], "prompt.texts.1: "),
        ([[], 1], "prompt.inputs.0: "),
        (7, "prompt: must be a text, a list of tokens, or a list of either"),
    ],
    ids=["objects", "numbers", "mixed", "empty", "number"],
)
def test_a_list_is_refused_at_its_first_wrong_element(prompt: Any, says: str) -> None:
    """However many follow: telling of each would take seconds and hundreds of megabytes."""
    begin = time.process_time()
    with pytest.raises(BadRequestError, match=f"^{says}") as caught:
        read_request(COMPLETION | {"prompt": prompt}, CompletionRequest)
    assert caught.value.param == "prompt"
    assert time.process_time() - begin < 1


def test_the_same_of_messages_and_of_what_is_unknown() -> None:
    begin = time.process_time()
    for change in (
        {"messages": [1] * 300_000},
        {"messages": [{"role": "user", "content": [1] * 300_000}]},
        {f"unknown{number}": 1 for number in range(100_000)},
        {"logit_bias": {f"a{number}": 1 for number in range(100_000)}},
    ):
        with pytest.raises(BadRequestError):
            read_request(CHAT | change, ChatRequest)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    "change",
    [
        {"cache_salt": "\ud800"},
        {"model": "\udfff"},
        {"messages": [{"role": "user", "content": "a\ud800"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]},
    ],
)
def test_what_is_no_text_is_refused(change: dict[str, Any]) -> None:
    """JSON can name halves of surrogate pairs; nothing can encode them."""
    with pytest.raises(BadRequestError, match="surrogate") as caught:
        read_request(CHAT | change, ChatRequest)
    assert caught.value.param == next(iter(change))
    str(caught.value).encode()


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_a_body_is_an_object(body: object) -> None:
    with pytest.raises(BadRequestError, match="JSON object"):
        read_request(body, ChatRequest)


def test_tokens_that_the_model_has_not_are_refused() -> None:
    asked = read_request(COMPLETION | {"allowed_token_ids": [1, 100]}, CompletionRequest)
    with pytest.raises(BadRequestError, match="token 100: the model has those from 0 to 99"):
        asked.sampling(vocab=100)
