"""The executor: a model, its workspace and its prefix cache; one run after the other.

    executor = Executor(decoder, dimensions, divide(dimensions, 2 << 30, max_input_tokens=8192))
    found = executor.prefill(tokens, executor.keys(tokens))
    found.logits, found.cached_tokens

For one thread at a time, but for `cached_tokens`, which any may ask.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tiermem.errors import TiermemError
from tiermem.layer.arena import Arena
from tiermem.serving.kv.keys import KeyChain, identity_of
from tiermem.serving.prefill_only.attention import (
    AttentionName,
    attention_kind,
    make_attention,
)
from tiermem.serving.prefill_only.budget import (
    ATTENTION_ROWS,
    BLOCK_TOKENS,
    CHUNK_TOKENS,
    Budget,
    Kernels,
    whole_blocks,
)
from tiermem.serving.prefill_only.decoder import Decoder
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.hybrid import HybridPrefill
from tiermem.serving.prefill_only.kv_blocks import KvBlocks
from tiermem.serving.prefill_only.parts import Part, line_up
from tiermem.serving.prefill_only.prefix_cache import PrefixCache
from tiermem.serving.prefill_only.workspace import Workspace

# An input's tokens, and the keys of its blocks.
Asked = tuple[Sequence[int], Sequence[bytes]]


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


def kernels_of(decoder: Decoder, dimensions: Dimensions, attention: AttentionName) -> Kernels:
    """Those that an executor of these would use. MissingError."""
    kind = attention_kind(attention, dimensions, decoder.dtype)
    return Kernels(kind, decoder.is_packed)


class Executor:
    """Made by `start.start`, or with a budget that is known to suffice."""

    def __init__(
        self,
        decoder: Decoder,
        dimensions: Dimensions,
        budget: Budget,
        *,
        chunk_tokens: int = CHUNK_TOKENS,
        attention: AttentionName = "auto",
        arena: Arena | None = None,
    ) -> None:
        """arena: whose memory keys and values take; torch's unless given."""
        self.dimensions, self.budget = dimensions, budget
        self.cache = PrefixCache(budget.cache_blocks)
        self._lock = threading.Lock()
        dtype, device = decoder.dtype, decoder.device
        workspace = Workspace(dimensions, budget.max_input_tokens, dtype, device)
        buffer = arena.allocate(budget.kv_bytes) if arena else None
        self._blocks = KvBlocks(dimensions, budget, dtype, device, buffer)
        kind = attention_kind(attention, dimensions, dtype)
        self._attention = make_attention(kind, dimensions, self._blocks)
        with torch.inference_mode():
            self._prefill = HybridPrefill(decoder, workspace, self._attention, chunk_tokens)
        self.together_max = min(budget.together, self._attention.parts_max)
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
        return BLOCK_TOKENS * min(there, self._read_max(input_tokens))

    def prefill(self, tokens: Sequence[int], keys: Sequence[bytes]) -> Prefilled:
        """Compute what follows; keep as much of the input's KV as fits. InputError."""
        (found,) = self.prefill_all([(tokens, keys)])
        return found

    def prefill_all(self, asked: Sequence[Asked]) -> list[Prefilled]:
        """Several inputs: in one run, as far as the memory for the longest input allows, and else
        in as many as it takes. InputError, before anything is computed."""
        for tokens, _ in asked:
            self.check(tokens)
        found: list[Prefilled] = []
        while len(found) < len(asked):
            found += self._run(asked[len(found) :][: self.together_max])
        return found

    def _run(self, asked: Sequence[Asked]) -> list[Prefilled]:
        """As many of the first ones as fit, at least one."""
        with self._lock:
            leases = self.cache.begin_all([(keys, self._read_max(len(t))) for t, keys in asked])
            parts = line_up(list(zip((tokens for tokens, _ in asked), leases, strict=True)))
            count = sum(map(self._fits, parts))
            for lease in leases[count:]:
                self.cache.end(lease, is_written=False)
        is_done = False
        try:
            with torch.inference_mode():
                logits = self._prefill.run(parts[:count]).cpu().numpy()
            is_done = True
        finally:
            with self._lock:
                for lease in leases[:count]:
                    self.cache.end(lease, is_written=is_done)
        return [
            Prefilled(of, part.new, part.cached, BLOCK_TOKENS * len(part.lease.keys))
            for of, part in zip(logits, parts[:count], strict=True)
        ]

    def _fits(self, part: Part) -> bool:
        if part.row and part.rows.stop > ATTENTION_ROWS:
            return False
        rows = BLOCK_TOKENS * whole_blocks(self.budget.max_input_tokens)
        return part.rows.stop <= rows and BLOCK_TOKENS * (part.work + part.work_blocks) <= rows

    def _read_max(self, input_tokens: int) -> int:
        """Blocks that may be read rather than computed: some of the tokens are always new."""
        return max(0, input_tokens - self._attention.tokens_min) // BLOCK_TOKENS

    def clear(self) -> None:
        """Forget all KV."""
        with self._lock:
            self.cache.clear()
