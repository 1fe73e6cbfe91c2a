"""Answers and errors in OpenAI's format."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tiermem.serving.prefill_only.sampling import (
    Sampling,
    choose_token,
    likeliest,
    log_probabilities,
)

Decode = Callable[[int], str]


class Found(Protocol):
    """Of one prompt: what `executor.Prefilled` has."""

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Of what follows."""

    @property
    def new_tokens(self) -> int:
        """Computed."""

    @property
    def cached_tokens(self) -> int:
        """Not computed."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A prompt's token, its text, and with `tops` those that were the likeliest, with
    logarithms of probabilities."""

    token: int
    text: str
    log: float
    tops: tuple[tuple[str, float], ...]
    is_end: bool


def choose(
    found: Found, options: Sampling, tops: int, decode: Decode, ends: Sequence[int]
) -> Chosen:
    """The token of a prompt; `ends` are the tokens that end a text."""
    token = choose_token(found.logits, options)
    logs = log_probabilities(found.logits)
    likely = tuple((decode(one), float(logs[one])) for one in likeliest(logs, tops))
    return Chosen(token, decode(token), float(logs[token]), likely, token in ends)


def completion(
    model: str, found: Sequence[Found], chosen: Sequence[Chosen], with_logs: bool
) -> dict[str, Any]:
    """Of /v1/completions; a choice for each prompt."""
    choices = [
        {
            "index": number,
            "text": "" if one.is_end else one.text,
            "finish_reason": "stop" if one.is_end else "length",
            "logprobs": _completion_logs(one) if with_logs else None,
        }
        for number, one in enumerate(chosen)
    ]
    return _answer("cmpl", "text_completion", model, choices, found)


def chat_completion(model: str, found: Found, chosen: Chosen, with_logs: bool) -> dict[str, Any]:
    """Of /v1/chat/completions."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "" if chosen.is_end else chosen.text},
        "finish_reason": "stop" if chosen.is_end else "length",
        "logprobs": {"content": [_chat_logs(chosen)]} if with_logs else None,
    }
    return _answer("chatcmpl", "chat.completion", model, [choice], [found])


def error(message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    """What clients raise their errors from."""
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _completion_logs(chosen: Chosen) -> dict[str, Any]:
    return {
        "tokens": [chosen.text],
        "token_logprobs": [chosen.log],
        "top_logprobs": [_by_text(chosen.tops)],
        "text_offset": [0],
    }


def _by_text(tops: Sequence[tuple[str, float]]) -> dict[str, float]:
    """The likeliest first. Of tokens with the same text it is the likeliest that is told."""
    told: dict[str, float] = {}
    for text, log in tops:
        told.setdefault(text, log)
    return told


def _chat_logs(chosen: Chosen) -> dict[str, Any]:
    tops = [_log(text, log) for text, log in chosen.tops]
    return {**_log(chosen.text, chosen.log), "top_logprobs": tops}


def _log(text: str, log: float) -> dict[str, Any]:
    return {"token": text, "logprob": log, "bytes": list(text.encode())}


def _answer(
    prefix: str, kind: str, model: str, choices: list[dict[str, Any]], found: Sequence[Found]
) -> dict[str, Any]:
    cached = sum(one.cached_tokens for one in found)
    prompt = cached + sum(one.new_tokens for one in found)
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": len(choices),
            "total_tokens": prompt + len(choices),
            "prompt_tokens_details": {"cached_tokens": cached},
        },
    }
