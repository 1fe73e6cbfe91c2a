"""Many chats at once, in a closed loop: who says how much, and what the model answers.

A chat's tokens depend on it alone, not on who else is served meanwhile: what two engines
answer can be compared, whatever order they serve in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

# So long may a chat become before it begins anew, as another one.
CONTEXT_TOKENS = 300


@dataclass
class Turn:
    """What is said at once, how much is answered, and after how many of the engine's steps the
    user goes away; 0: not before the answer is there."""

    words: list[int]
    answer_tokens: int
    leaves_after: int = 0


@dataclass
class Chat:
    """Its turns to come, and all tokens so far. answers: by turn, of those that were heard."""

    name: str
    turns: deque[Turn]
    history: list[int] = field(default_factory=list)
    answers: list[list[int]] = field(default_factory=list)


def chat(
    number: int, turns: int, *, words_most: int = 120, answer_most: int = 24, leaving: float = 0.0
) -> Chat:
    """The same for the same number: of three chats one is long, two are short.

    words_most, answer_most: tokens; leaving: the share of turns whose user leaves in the middle.
    """
    random = Random(number)
    found: deque[Turn] = deque()
    room = CONTEXT_TOKENS
    for _ in range(turns):
        most = words_most if number % 3 == 0 else words_most // 2
        said = random.randint(most // 4, most)
        answer_tokens = random.randint(1, answer_most)
        if room < said + answer_tokens:
            break
        words = [1000 + random.randrange(40000) for _ in range(said)]
        leaves_after = random.randint(1, 6) if random.random() < leaving else 0
        found.append(Turn(words, answer_tokens, leaves_after))
        if not leaves_after:
            room -= said + answer_tokens
    return Chat(f"chat{number}", found)


def hold(
    llm: Any, chats: Iterable[Chat], at_once: int, after_step: Callable[[], None] | None = None
) -> int:
    """Each to its end, `at_once` of them live; how many requests that were."""
    from vllm import SamplingParams

    core = llm.llm_engine
    coming, live = iter(chats), dict[str, _Live]()
    waiting: deque[Chat] = deque()
    asked = 0
    while True:
        while len(live) < at_once and (next_one := _next(waiting, coming)) is not None:
            turn = next_one.turns.popleft()
            prompt = next_one.history + turn.words
            params = SamplingParams(temperature=0, max_tokens=turn.answer_tokens, ignore_eos=True)
            name = f"{next_one.name}/{asked}"
            core.add_request(name, {"prompt_token_ids": prompt}, params)
            live[name] = _Live(next_one, turn, prompt)
            asked += 1
        if not live:
            return asked
        for output in core.step():
            if output.finished and output.request_id in live:
                one = live.pop(output.request_id)
                # Who leaves does not hear it, even where it comes before that.
                if not one.turn.leaves_after:
                    answer = list(output.outputs[0].token_ids)
                    one.chat.history = one.prompt + answer
                    one.chat.answers.append(answer)
                waiting.append(one.chat)
        for name, one in list(live.items()):
            one.steps += 1
            if one.steps == one.turn.leaves_after:
                core.abort_request([name])
                del live[name]
                waiting.append(one.chat)
        if after_step is not None:
            after_step()


@dataclass
class _Live:
    chat: Chat
    turn: Turn
    prompt: list[int]
    steps: int = 0


def _next(waiting: deque[Chat], coming: Iterator[Chat]) -> Chat | None:
    while waiting:
        one = waiting.popleft()
        if one.turns:
            return one
    return next((one for one in coming if one.turns), None)
