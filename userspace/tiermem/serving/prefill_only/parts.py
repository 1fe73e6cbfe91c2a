"""The inputs that one run computes together, and where each has its tokens and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, whole_blocks
from tiermem.serving.prefill_only.prefix_cache import Lease


@dataclass(frozen=True, slots=True)
class Part:
    """One input. row: of its first new token, among all that the run computes. work: its first
    block in the memory of one layer, for what is not kept."""

    tokens: Sequence[int]
    lease: Lease
    row: int = 0
    work: int = 0

    @property
    def cached(self) -> int:
        """Tokens that are not computed."""
        return len(self.lease.read) * BLOCK_TOKENS

    @property
    def new(self) -> int:
        """Tokens that are."""
        return len(self.tokens) - self.cached

    @property
    def rows(self) -> slice:
        """Of its new tokens."""
        return slice(self.row, self.row + self.new)

    @property
    def work_blocks(self) -> int:
        """How many of its blocks are neither read nor kept."""
        return whole_blocks(len(self.tokens)) - len(self.lease.read) - len(self.lease.write)


def line_up(inputs: Sequence[tuple[Sequence[int], Lease]]) -> list[Part]:
    """One behind the other."""
    parts: list[Part] = []
    row = work = 0
    for tokens, lease in inputs:
        parts.append(Part(tokens, lease, row, work))
        row += parts[-1].new
        work += parts[-1].work_blocks
    return parts
