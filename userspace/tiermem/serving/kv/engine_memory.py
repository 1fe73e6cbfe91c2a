"""An engine's own KV blocks as addresses: whole blocks, layer by layer, never slices.

What is inside a layer's part of a block (heads, tokens, their order, which on CPUs depends
on the instruction set) is the engine's business: it is copied as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiermem.serving.kv.memory_tier import Block
from tiermem.serving.kv.pieces import Pieces, new_pieces
from tiermem.serving.kv.record import RecordShape


@dataclass(frozen=True, slots=True)
class Layer:
    """Where a layer's part of block 0 lies, and how far the next block's is, in bytes."""

    name: str
    address: int
    stride_bytes: int


class EngineMemory:
    """`layers` in the order of a record's pieces."""

    def __init__(self, layers: Sequence[Layer], shape: RecordShape) -> None:
        assert len(layers) == shape.pieces
        self.layers = tuple(layers)
        self.shape = shape
        self.index = {layer.name: number for number, layer in enumerate(layers)}

    def to_save(self, layer: int, block_ids: Sequence[int], blocks: Sequence[Block]) -> Pieces:
        """One layer's part of each block, from the engine to its place in memory."""
        pieces = new_pieces(len(blocks))
        pieces["from"] = self._engine_addresses(layer, block_ids)
        pieces["to"] = self._tier_addresses(layer, blocks)
        return pieces

    def to_load(self, layer: int, block_ids: Sequence[int], blocks: Sequence[Block]) -> Pieces:
        """The way back, with the sums that it must have."""
        pieces = new_pieces(len(blocks))
        pieces["from"] = self._tier_addresses(layer, blocks)
        pieces["to"] = self._engine_addresses(layer, block_ids)
        pieces["sum"] = [block.sums[layer] for block in blocks]
        return pieces

    def _engine_addresses(self, layer: int, block_ids: Sequence[int]) -> np.ndarray:
        place = self.layers[layer]
        return np.asarray(block_ids, dtype=np.uint64) * np.uint64(place.stride_bytes) + np.uint64(
            place.address
        )

    def _tier_addresses(self, layer: int, blocks: Sequence[Block]) -> np.ndarray:
        offset = self.shape.header_bytes + layer * self.shape.piece_bytes
        return np.asarray([block.address for block in blocks], dtype=np.uint64) + np.uint64(offset)
