"""Between texts and a model's tokens, as its own tokenizer has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiermem.errors import MissingError


class Texts:
    """A model's tokenizer and chat template."""

    def __init__(self, name: str) -> None:
        """A folder, or a name of a model hub. MissingError without a tokenizer."""
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise MissingError(f"model {name!r}: has no tokenizer that loads: {error}") from None

    @property
    def has_chat(self) -> bool:
        """Whether the model says how a chat is written down."""
        return self._tokenizer.chat_template is not None

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a text."""
        end = self._tokenizer.eos_token_id
        return () if end is None else (int(end),)

    def encode(self, text: str) -> list[int]:
        """With what the tokenizer puts in front."""
        return [int(one) for one in self._tokenizer(text)["input_ids"]]

    def encode_chat(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """Up to where the assistant's answer begins. ValueError where the template refuses."""
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            raise ValueError(str(error)) from None
        return [int(one) for one in self._tokenizer(text, add_special_tokens=False)["input_ids"]]

    def decode(self, token: int) -> str:
        """One token's text; of a part of a letter a replacement character."""
        return str(self._tokenizer.decode([token]))
