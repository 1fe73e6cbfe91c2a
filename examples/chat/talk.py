"""The chat itself, by the `openai` client, and what the server says of each turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from openai import OpenAI
from tiermem.serving.top import metrics_url, read_figures, scrape

from examples.chat.script import User
from examples.chat.server import BLOCK_TOKENS, MODEL


@dataclass(frozen=True)
class Turn:
    """A question and its answer. ttft_s: until the first word came.

    Tokens of the prompt by where their KV came from: computed, still in the engine (cached), or
    a tier; together they are the prompt.
    """

    user: User
    number: int
    answer: str
    ttft_s: float
    computed: int
    cached: int
    by_tier: dict[str, int]

    @property
    def prompt_tokens(self) -> int:
        """Of the history and the question."""
        return self.computed + self.cached + sum(self.by_tier.values())


def talk(url: str, users: int, turns: int, answer_tokens: int) -> Iterator[Turn]:
    """All users in turn, so that each comes back when others have been served in between."""
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        histories: list[list[dict[str, str]]] = [[] for _ in range(users)]
        for number in range(turns):
            for user in map(User, range(users)):
                history = histories[user.number]
                history.append({"role": "user", "content": user.says(number)})
                before = _count(url)
                answer, ttft_s = _ask(client, history, answer_tokens)
                history.append({"role": "assistant", "content": answer})
                now = _count(url)
                yield Turn(
                    user=user,
                    number=number,
                    answer=answer,
                    ttft_s=ttft_s,
                    computed=now.computed - before.computed,
                    cached=now.cached - before.cached,
                    by_tier={
                        tier: tokens - before.by_tier.get(tier, 0)
                        for tier, tokens in now.by_tier.items()
                    },
                )


def _ask(client: OpenAI, history: list[dict[str, str]], tokens: int) -> tuple[str, float]:
    """The answer, and the seconds until its first word."""
    begun_s = time.monotonic()
    ttft_s = 0.0
    words: list[str] = []
    stream = client.chat.completions.create(
        model=MODEL,
        messages=history,  # type: ignore[arg-type]
        max_completion_tokens=tokens,
        temperature=0,
        stream=True,
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            ttft_s = ttft_s or time.monotonic() - begun_s
            words.append(chunk.choices[0].delta.content)
    return "".join(words), ttft_s


@dataclass(frozen=True)
class _Counted:
    """Since the server's start: tokens by where their KV came from."""

    computed: int
    cached: int
    by_tier: dict[str, int]


def _count(url: str) -> _Counted:
    seen = read_figures(scrape(metrics_url(url)))
    return _Counted(
        seen.prompt_tokens.get("local_compute", 0),
        seen.prompt_tokens.get("local_cache_hit", 0),
        {name: tier.events.get("hits", 0) * BLOCK_TOKENS for name, tier in seen.tiers.items()},
    )
