"""The server by OpenAI's client, and by clients that mean no good."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest
import torch

from tests.serving.prefill_only.conftest import MAX_INPUT, MAX_WAITING, Running, start_server
from tests.serving.prefill_only.models import plain, smollm2, tokens_of


def ask(server: Running, prompt: Any, **options: Any) -> Any:
    return server.client().completions.create(
        model="smollm2", prompt=prompt, max_tokens=1, **({"temperature": 0} | options)
    )


def test_logarithms_of_probability_are_the_models(server: Running) -> None:
    tokens = tokens_of(1, 120)
    answer = ask(server, tokens, logprobs=5)
    exact = torch.log_softmax(plain(smollm2(), tokens).double(), dim=0)
    told = answer.choices[0].logprobs
    assert told.token_logprobs[0] == pytest.approx(float(exact.max()), abs=1e-3)
    assert sorted(told.top_logprobs[0].values(), reverse=True) == pytest.approx(
        exact.topk(5).values.tolist(), abs=1e-3
    )
    assert next(iter(told.top_logprobs[0])) == told.tokens[0] == answer.choices[0].text
    assert answer.choices[0].finish_reason == "length"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (120, 1)


def test_a_prefix_that_was_asked_before_is_cached_and_changes_nothing(server: Running) -> None:
    tokens = tokens_of(2, 300)
    first, second = ask(server, tokens, logprobs=3), ask(server, tokens, logprobs=3)
    assert first.usage.prompt_tokens_details.cached_tokens == 0
    assert second.usage.prompt_tokens_details.cached_tokens == 256
    assert first.choices[0].text == second.choices[0].text
    assert first.choices[0].logprobs.token_logprobs == pytest.approx(
        second.choices[0].logprobs.token_logprobs, abs=1e-4
    )


def test_a_chat_is_answered_yes_or_no(server: Running) -> None:
    client = server.client()
    yes_or_no = [ask(server, word, logprobs=0).usage for word in ("Yes", "No")]
    assert [usage.prompt_tokens for usage in yes_or_no] == [1, 1]
    answer = client.chat.completions.create(
        model="smollm2",
        messages=[
            {"role": "system", "content": "Answer Yes or No."},
            {"role": "user", "content": [{"type": "text", "text": "Is water wet?"}]},
        ],
        max_completion_tokens=1,
        logprobs=True,
        top_logprobs=4,
        temperature=0,
        extra_body={"allowed_token_ids": token_ids("Yes", "No")},
    )
    assert answer.choices[0].message.content in ("Yes", "No")
    told = answer.choices[0].logprobs.content[0]
    assert len(told.top_logprobs) == 4
    assert 0 < math.exp(told.logprob) <= 1


def token_ids(*words: str) -> list[int]:
    from transformers import AutoTokenizer

    from bench.smollm2 import model_folder

    tokenizer = AutoTokenizer.from_pretrained(model_folder("float32"))
    return [tokenizer(word)["input_ids"][0] for word in words]


def test_several_prompts_and_seeds(server: Running) -> None:
    answer = ask(server, ["one", "two", "three"], temperature=1, seed=7)
    again = ask(server, ["one", "two", "three"], temperature=1, seed=7)
    assert [one.index for one in answer.choices] == [0, 1, 2]
    assert [one.text for one in answer.choices] == [one.text for one in again.choices]
    biased = ask(server, "one", logit_bias={"1234": 100})
    assert biased.choices[0].text == ask(server, "two", logit_bias={"1234": 100}).choices[0].text


def test_the_model_is_listed_and_metrics_are_told(server: Running) -> None:
    (model,) = server.client().models.list().data
    assert (model.id, model.max_model_len) == ("smollm2", MAX_INPUT)
    text = urllib.request.urlopen(f"{server.url}/metrics").read().decode()
    assert 'tiermem_prefill_only_requests_total{outcome="answered"}' in text
    assert 'tiermem_prefill_only_cache_blocks{state="used"}' in text
    health = json.load(urllib.request.urlopen(f"{server.url}/health"))
    assert health["status"] == "ok"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_tokens": 16}, "max_tokens"),
        ({"stream": True}, "stream"),
        ({"prompt": [1] * (MAX_INPUT + 1)}, f"1 to {MAX_INPUT} are allowed"),
        ({"prompt": [50000]}, "0 to 49151"),
        ({"prompt": [10**30]}, "0 to 49151"),
        ({"prompt": ""}, f"1 to {MAX_INPUT}"),
        ({"extra_body": {"guided_json": {}}}, "guided_json"),
    ],
)
def test_what_is_not_served_is_a_bad_request(
    server: Running, options: dict[str, Any], named: str
) -> None:
    asked = {"model": "smollm2", "prompt": "a", "max_tokens": 1} | options
    with pytest.raises(openai.BadRequestError, match=named):
        server.client().completions.create(**asked)


def test_another_model_is_not_found(server: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="served is 'smollm2'"):
        server.client().completions.create(model="gpt-9", prompt="a", max_tokens=1)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[" * 100_000, b"null", b'{"model": "\xff"}', b'{"prompt": NaN}', b"\0" * 100],
)
def test_bodies_that_are_none(server: Running, body: bytes) -> None:
    status, error = post(server, body)
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@pytest.mark.parametrize("charset", ["punycode", "nonsense", "utf-7"])
def test_a_charset_changes_nothing(server: Running, charset: str) -> None:
    """Decoding a mebibyte of punycode takes minutes."""
    kind = {"Content-Type": f"application/json; charset={charset}"}
    begin = time.monotonic()
    assert post(server, b"a" * (1 << 20), kind)[0] == 400
    assert time.monotonic() - begin < 5
    good = json.dumps({"model": "smollm2", "prompt": "é", "max_tokens": 1}).encode()
    assert post(server, good, kind)[0] == 200


def test_more_prompts_than_may_wait_are_refused_before_any_is_run(server: Running) -> None:
    with pytest.raises(openai.BadRequestError, match=f"at most {MAX_WAITING} may wait"):
        ask(server, ["a"] * (MAX_WAITING + 1))


def test_a_body_without_end_is_cut_off(server: Running) -> None:
    assert post(server, b'{"prompt": "' + b"a" * (2 << 20) + b'"}')[0] == 413


def test_wrong_methods_and_places(server: Running) -> None:
    for path, status in (("/v1/completions", 405), ("/v1/embeddings", 404)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.url + path)
        assert caught.value.code == status
        assert json.load(caught.value)["error"]["message"]


def post(server: Running, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{server.url}/v1/completions", data=body, headers=headers or {}, method="POST"
    )
    try:
        return 200, json.load(urllib.request.urlopen(request))
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["error"]


def waiting(server: Running) -> int:
    return int(json.load(urllib.request.urlopen(f"{server.url}/health"))["waiting"])


def send_and_wait(server: Running, tokens: list[int]) -> socket.socket:
    """A client that has asked and not read."""
    body = json.dumps({"model": "smollm2", "prompt": tokens, "max_tokens": 1}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)))
    client.sendall(head.encode() + body)
    return client


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_queue_says_so_and_clients_that_leave_make_room(server: Running) -> None:
    """One runs, as many wait as may; all but one go away."""
    clients = []
    for seed in range(MAX_WAITING + 1):
        clients.append(send_and_wait(server, tokens_of(100 + seed, MAX_INPUT)))
        until(lambda seed=seed: waiting(server) >= seed or seed == 0)
        if seed == 0:
            time.sleep(0.1)
    until(lambda: waiting(server) == MAX_WAITING, 5)
    with pytest.raises(openai.RateLimitError, match="4 requests wait"):
        ask(server, "one more")
    clients[1].close()
    until(lambda: waiting(server) == MAX_WAITING - 1)
    with pytest.raises(openai.RateLimitError, match="3 requests wait, of 4 that may"):
        ask(server, ["one", "more than may"])
    assert waiting(server) == MAX_WAITING - 1
    for client in clients[1:]:
        client.close()
    until(lambda: waiting(server) == 0)
    assert ask(server, "one more").choices[0].text
    clients[0].close()


def test_ending_lets_the_one_under_way_be_answered() -> None:
    """And tells those that wait that it ends."""
    server = start_server("--attention", "torch", "--no-check")
    outcomes: list[str] = []

    def client(seed: int) -> None:
        try:
            ask(server, tokens_of(seed, MAX_INPUT))
            outcomes.append("answered")
        except openai.InternalServerError as error:
            outcomes.append(str(error.status_code))

    try:
        threads = [threading.Thread(target=client, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: waiting(server) == 2)
        assert server.end() == 0
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["503", "503", "answered"]
    finally:
        server.process.kill()
        server.process.wait()
