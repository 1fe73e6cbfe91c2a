"""The executor: a model, its workspace and its prefix cache; one request after the other.

    executor = Executor(model, dimensions, divide(dimensions, 2 << 30, max_input_tokens=8192))
    found = executor.prefill(tokens, executor.keys(tokens))
    found.logits, found.cached_tokens

For one thread at a time, but for `cached_tokens`, which any may ask.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tiermem.errors import TiermemError
from tiermem.layer.arena import Arena
from tiermem.serving.kv.keys import KeyChain, identity_of
from tiermem.serving.prefill_only.attention import AttentionName, make_attention
from tiermem.serving.prefill_only.budget import (
    BLOCK_TOKENS,
    CHUNK_TOKENS,
    TOKENS_MIN,
    Budget,
)
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.hybrid import HybridPrefill
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.prefix_cache import PrefixCache
from tiermem.serving.prefill_only.workspace import Workspace


class InputError(TiermemError):
    """An input that this executor does not take: too long, empty, or of unknown tokens."""


@dataclass(frozen=True, slots=True)
class Prefilled:
    """logits: fp32 `[vocab]`, of the token that follows. The tokens that were computed, those
    whose KV was cached before, and those whose KV is cached now."""

    logits: npt.NDArray[np.float32]
    new_tokens: int
    cached_tokens: int
    kept_tokens: int


class Executor:
    """Made by `start.start`, or with a budget that is known to suffice."""

    def __init__(
        self,
        model: Any,
        dimensions: Dimensions,
        budget: Budget,
        *,
        chunk_tokens: int = CHUNK_TOKENS,
        attention: AttentionName = "auto",
        arena: Arena | None = None,
    ) -> None:
        """arena: whose memory the prefix cache takes; torch's unless given."""
        self.dimensions, self.budget = dimensions, budget
        self.cache = PrefixCache(budget.cache_blocks)
        self._lock = threading.Lock()
        dtype, device = model.dtype, model.device
        self._workspace = Workspace(dimensions, budget.max_input_tokens, dtype, device)
        self._attention = make_attention(attention, dimensions, self._workspace.blocks)
        self._prefill = HybridPrefill(model, self._workspace, self._attention, chunk_tokens)
        buffer = arena.allocate(budget.cache_bytes) if arena and budget.cache_bytes else None
        self._blocks = KvBlocks(dimensions, budget.cache_blocks, dtype, device, buffer)
        # Within one process: weights do not change, so the dimensions suffice.
        self._identity = identity_of({"dtype": str(dtype), "block_tokens": BLOCK_TOKENS})

    def check(self, tokens: Sequence[int]) -> None:
        """InputError where it cannot be prefilled."""
        most, vocab = self.budget.max_input_tokens, self.dimensions.vocab
        if not 1 <= len(tokens) <= most:
            raise InputError(f"input of {len(tokens)} tokens: 1 to {most} are allowed")
        if wrong := next((one for one in tokens if not 0 <= one < vocab), None):
            raise InputError(f"token {wrong}: the model has those from 0 to {vocab - 1}")

    def keys(self, tokens: Sequence[int], salt: str = "") -> tuple[bytes, ...]:
        """Of the input's full blocks. Requests of another salt share none of them."""
        return tuple(KeyChain(self._identity, BLOCK_TOKENS, salt).extend(tokens))

    def cached_tokens(self, keys: Sequence[bytes], input_tokens: int) -> int:
        """How many tokens of an input with these keys would not be computed now."""
        with self._lock:
            there = self.cache.cached_blocks(keys)
        return BLOCK_TOKENS * min(there, _read_max(input_tokens))

    def prefill(self, tokens: Sequence[int], keys: Sequence[bytes]) -> Prefilled:
        """Compute what follows; keep as much of the input's KV as fits. InputError."""
        self.check(tokens)
        with self._lock:
            lease = self.cache.begin(keys, _read_max(len(tokens)))
        is_done = False
        try:
            with torch.inference_mode():
                logits = self._prefill.run(tokens, self._blocks, lease)
            is_done = True
        finally:
            with self._lock:
                self.cache.end(lease, is_written=is_done)
        cached = BLOCK_TOKENS * len(lease.read)
        kept = BLOCK_TOKENS * len(lease.keys)
        return Prefilled(logits.cpu().numpy(), len(tokens) - cached, cached, kept)

    def clear(self) -> None:
        """Forget all KV."""
        with self._lock:
            self.cache.clear()


def _read_max(input_tokens: int) -> int:
    """Blocks that may be read rather than computed: some of the tokens are always new."""
    return max(0, input_tokens - TOKENS_MIN) // BLOCK_TOKENS
