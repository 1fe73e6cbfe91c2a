"""The memory that a prefill computes in, beside keys and values: allocated once, for the longest
input."""

from __future__ import annotations

import torch

from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, states_bytes, whole_blocks
from tiermem.serving.prefill_only.dimensions import Dimensions


class Workspace:
    """hidden `[tokens, hidden]`, queries `[tokens, heads, head_dim]`, cosines and sines `[tokens,
    head_dim]` of all positions.

    Tokens are in whole blocks. All of it lies in one piece of exactly `states_bytes`.
    """

    def __init__(
        self, model: Dimensions, tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        total = states_bytes(model, tokens)
        self.tokens = whole_blocks(tokens) * BLOCK_TOKENS
        self._memory = torch.empty(total // dtype.itemsize, dtype=dtype, device=device)
        self._taken = 0
        self.hidden = self._take(model.hidden)
        queries = self._take(model.query_width)
        self.queries = queries.view(self.tokens, model.heads, model.head_dim)
        self.cosines = self._take(model.head_dim)
        self.sines = self._take(model.head_dim)
        # What a decoder computes a chunk in, where it takes that beforehand.
        self.passing: object = None

    def _take(self, width: int) -> torch.Tensor:
        begin, self._taken = self._taken, self._taken + self.tokens * width
        return self._memory[begin : self._taken].view(self.tokens, width)
