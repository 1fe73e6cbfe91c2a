"""Where the KV of a token lies: tensors of one reservation, cut into page groups.

Every reqId has a row in each tensor, long enough for the longest context; a row begins
with a page group, so that no group has tokens of two requests. **Blocks** are what is
mapped and unmapped: one page group at the same place of a reqId's row in every tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tiermem.errors import ConfigError

PAGE_GROUPS_BYTES = (64 << 10, 128 << 10, 256 << 10, 2 << 20)


@dataclass(frozen=True)
class Run:
    """Bytes that follow each other, from the begin of the reservation on."""

    offset: int
    bytes: int


@dataclass(frozen=True)
class KvLayout:
    """KV of `batch` requests of at most `context_tokens` each, in elements of `item_bytes`.

    Two tensors a layer, `[batch, context, kv_heads, head_dim]`; with `layers_together` two in
    all, `[batch, context, layers, kv_heads, head_dim]`, so that a group holds fewer tokens.
    """

    layers: int
    kv_heads: int
    head_dim: int
    item_bytes: int
    context_tokens: int
    batch: int
    group_bytes: int = PAGE_GROUPS_BYTES[-1]
    layers_together: bool = False

    def __post_init__(self) -> None:
        for name in ("layers", "kv_heads", "head_dim", "item_bytes", "context_tokens", "batch"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{name} = {value}: must be at least 1")
        if self.group_bytes not in PAGE_GROUPS_BYTES:
            raise ConfigError(
                f"group_bytes = {self.group_bytes}: must be one of "
                + ", ".join(map(str, PAGE_GROUPS_BYTES))
            )
        if self.group_bytes % self.item_bytes:
            raise ConfigError(f"item_bytes = {self.item_bytes}: must divide a page group")

    @cached_property
    def tensors(self) -> int:
        """How many there are, keys and values together."""
        return 2 if self.layers_together else 2 * self.layers

    @cached_property
    def token_bytes(self) -> int:
        """Of one token in one tensor."""
        layers = self.layers if self.layers_together else 1
        return layers * self.kv_heads * self.head_dim * self.item_bytes

    @cached_property
    def row_blocks(self) -> int:
        """Of the longest context."""
        return self.blocks_of(self.context_tokens)

    @cached_property
    def row_bytes(self) -> int:
        """Of a reqId in one tensor, in addresses."""
        return self.row_blocks * self.group_bytes

    @cached_property
    def block_bytes(self) -> int:
        """Memory behind a block."""
        return self.tensors * self.group_bytes

    @cached_property
    def reserved_bytes(self) -> int:
        """All addresses."""
        return self.tensors * self.batch * self.row_bytes

    def blocks_of(self, tokens: int) -> int:
        """How many blocks so many tokens of one request need."""
        return -(-tokens * self.token_bytes // self.group_bytes)

    def tokens_in(self, blocks: int) -> int:
        """How many whole tokens of one request so many blocks hold."""
        return min(blocks * self.group_bytes // self.token_bytes, self.context_tokens)

    def waste_bytes(self, tokens: int) -> int:
        """Memory behind the last tokens' blocks that holds no token."""
        return self.blocks_of(tokens) * self.block_bytes - tokens * self.token_bytes * self.tensors

    def runs(self, req_id: int, first: int, blocks: int) -> list[Run]:
        """Blocks `first` and following of a reqId: one run in each tensor."""
        at = req_id * self.row_bytes + first * self.group_bytes
        tensor_bytes = self.batch * self.row_bytes
        return [
            Run(tensor * tensor_bytes + at, blocks * self.group_bytes)
            for tensor in range(self.tensors)
        ]
