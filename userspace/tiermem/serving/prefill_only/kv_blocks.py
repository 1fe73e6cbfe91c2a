"""The prefix cache's memory: KV of all layers of so many blocks, in one piece.

A block's keys and values of one layer lie together, and are copied as a whole. The piece is
torch's, or a buffer of an arena (docs/layer.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tiermem.errors import TiermemError
from tiermem.layer.arena import Buffer
from tiermem.serving.prefill_only.budget import block_bytes
from tiermem.serving.prefill_only.dimensions import Dimensions


class KvBlocks:
    """`[layers, places, numbers of a block]`."""

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
        shape = (model.layers, blocks, block_bytes(model) // model.layers // dtype.itemsize)
        self._layers = (
            torch.empty(shape, dtype=dtype, device=device)
            if buffer is None
            else buffer.torch(dtype, shape)
        )

    def read(self, layer: int, places: Sequence[int], to: torch.Tensor) -> None:
        """One layer of these blocks, to the first of `to`."""
        if places:
            chosen = torch.tensor(places, device=to.device)
            torch.index_select(self._layers[layer], 0, chosen, out=to[: len(places)])

    def write(self, layer: int, places: Sequence[int], source: torch.Tensor) -> None:
        """The same, the other way."""
        if places:
            chosen = torch.tensor(places, device=source.device)
            self._layers[layer].index_copy_(0, chosen, source[: len(places)])
