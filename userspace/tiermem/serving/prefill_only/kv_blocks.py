"""The prefix cache's memory: KV of all layers of so many blocks, in one piece.

A block's keys and values lie together by layer, so that a layer is read and written in whole
pieces. The piece is torch's, or a buffer of an arena (docs/layer.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tiermem.errors import TiermemError
from tiermem.layer.arena import Buffer
from tiermem.serving.prefill_only.budget import BLOCK_TOKENS, block_bytes
from tiermem.serving.prefill_only.dimensions import Dimensions


class KvBlocks:
    """`[layers, places, keys or values, block tokens, kv_heads, head_dim]`."""

    def __init__(
        self,
        model: Dimensions,
        blocks: int,
        dtype: torch.dtype,
        device: torch.device,
        buffer: Buffer | None = None,
    ) -> None:
        """buffer: the memory to use. TiermemError where it is too small."""
        needed = blocks * block_bytes(model)
        if buffer is not None and buffer.bytes < needed:
            raise TiermemError(f"{buffer!r}: {blocks} blocks need {needed} bytes")
        shape = (model.layers, blocks, 2, BLOCK_TOKENS, model.kv_heads, model.head_dim)
        self.tensor = (
            torch.empty(shape, dtype=dtype, device=device)
            if buffer is None
            else buffer.torch(dtype, shape)
        )

    def read(
        self, layer: int, places: Sequence[int], keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """One layer of these blocks, to the begin of `[tokens, kv_heads, head_dim]` each."""
        for number, place in enumerate(places):
            tokens = slice(number * BLOCK_TOKENS, (number + 1) * BLOCK_TOKENS)
            keys[tokens] = self.tensor[layer, place, 0]
            values[tokens] = self.tensor[layer, place, 1]

    def write(
        self,
        layer: int,
        places: Sequence[int],
        first_block: int,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> None:
        """The same, the other way: from block `first_block` of the layer's tokens on."""
        for number, place in enumerate(places, first_block):
            tokens = slice(number * BLOCK_TOKENS, (number + 1) * BLOCK_TOKENS)
            self.tensor[layer, place, 0] = keys[tokens]
            self.tensor[layer, place, 1] = values[tokens]
