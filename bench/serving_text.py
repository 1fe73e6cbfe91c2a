"""Real text as tokens: Python's documentation, as every CPython carries it, and the project's."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from pydoc_data import topics
from typing import Any

from bench.result_file import CHECKOUT


class Text:
    """What sessions say: a passage for each, the same for the same seed and number."""

    def __init__(self, model: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(str(model))
        pages = [page for _, page in sorted(topics.topics.items())]
        pages += [path.read_text() for path in sorted((CHECKOUT / "docs").glob("*.md"))]
        self._tokens: list[int] = [
            token for page in pages for token in tokenizer(page)["input_ids"]
        ]

    def passage(self, seed: int, number: int, tokens: int) -> Sequence[int]:
        """So many tokens from some place on, and on from the beginning after the end."""
        begin = random.Random(f"{seed} {number}").randrange(len(self._tokens))
        found = self._tokens[begin : begin + tokens]
        while len(found) < tokens:
            found = found + self._tokens[: tokens - len(found)]
        return found
