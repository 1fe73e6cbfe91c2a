"""What engines are asked: requests that differ in what the schedulers look at."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.serving.schedulers.engines import BLOCK_TOKENS, add, prompt

PREFIX_TOKENS = 11 * BLOCK_TOKENS


def ask_long_among_short(engine: Any) -> None:
    """`long` does not fit beside `first`, whom two short ones could join, and do."""
    add(engine, "first", prompt(1, 200), 12)
    add(engine, "long", prompt(2, 400), 2)
    add(engine, "short1", prompt(3, 60), 16)
    add(engine, "short2", prompt(4, 60), 16)


def ask_mixed(engine: Any) -> None:
    """Of many lengths, half of them with a prefix in common, together far more than fits."""
    random, common = Random(5), prompt(9, 2 * BLOCK_TOKENS)
    for number in range(8):
        own = prompt(10 + number, random.choice([20, 70, 150, 330]))
        add(engine, f"m{number}", common + own if number % 2 else own, random.randint(2, 8))


def ask_two_prefixes(engine: Any) -> None:
    """A and D share one, B and C the other; each is longer than the one before."""
    one, two = prompt(1, PREFIX_TOKENS), prompt(2, PREFIX_TOKENS)
    for number, (key, prefix) in enumerate(zip("ABCD", (one, two, two, one), strict=True)):
        add(engine, key, prefix + prompt(3 + number, 16 * (number + 1)), 1)
