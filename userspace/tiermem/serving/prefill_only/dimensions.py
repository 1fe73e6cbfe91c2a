"""A model's sizes, as far as memory depends on them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Of a decoder of the Llama family. hidden, intermediate, vocab: numbers; item_bytes: of
    one of the model's dtype. context_tokens: the longest input that the model is made for."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    item_bytes: int
    context_tokens: int

    @property
    def query_width(self) -> int:
        """Numbers of one token's queries, all heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Numbers of one token's keys, or values, in one layer."""
        return self.kv_heads * self.head_dim

    @property
    def kv_token_bytes(self) -> int:
        """One token's keys and values in all layers."""
        return 2 * self.layers * self.kv_width * self.item_bytes
