"""How alike two sets of logits are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Likeness:
    """difference: the largest of all logits. same_bits, same_order (of the likeliest tokens)."""

    attention: str
    tokens: int
    cached_tokens: int
    difference: float
    same_bits: bool
    same_order: bool
