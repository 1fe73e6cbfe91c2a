"""The memory that a prefill computes in: allocated once, for the longest input."""

from __future__ import annotations

import torch

from tiermem.serving.prefill_only.budget import workspace_bytes
from tiermem.serving.prefill_only.dimensions import Dimensions


class Workspace:
    """hidden `[tokens, hidden]`, queries `[tokens, heads, head_dim]`, keys and values `[tokens,
    kv_heads, head_dim]` of one layer; cosines and sines `[tokens, head_dim]` of all positions.

    All of them lie in one piece of exactly `workspace_bytes`.
    """

    def __init__(
        self, model: Dimensions, tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.tokens = tokens
        total = workspace_bytes(model, tokens)
        self._memory = torch.empty(total // dtype.itemsize, dtype=dtype, device=device)
        self._taken = 0
        self.hidden = self._take(model.hidden)
        self.queries = self._take(model.query_width).view(tokens, model.heads, model.head_dim)
        self.keys = self._take(model.kv_width).view(tokens, model.kv_heads, model.head_dim)
        self.values = self._take(model.kv_width).view(tokens, model.kv_heads, model.head_dim)
        self.cosines = self._take(model.head_dim)
        self.sines = self._take(model.head_dim)

    def _take(self, width: int) -> torch.Tensor:
        begin, self._taken = self._taken, self._taken + self.tokens * width
        return self._memory[begin : self._taken].view(self.tokens, width)
