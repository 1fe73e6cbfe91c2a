"""An engine's own KV blocks as addresses: whole blocks, layer by layer, never slices.

What is inside a layer's part of a block (heads, tokens, their order, which on CPUs depends
on the instruction set) is the engine's business: it is copied as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
        self.shape = shape
        self.index = {layer.name: number for number, layer in enumerate(layers)}
        self._addresses = np.array([[layer.address] for layer in layers], dtype=np.uint64)
        self._strides = np.array([[layer.stride_bytes] for layer in layers], dtype=np.uint64)
        places = np.arange(shape.pieces, dtype=np.uint64)[:, None]
        self._offsets = np.uint64(shape.header_bytes) + places * np.uint64(shape.piece_bytes)

    def to_save(self, block_ids: Sequence[int], blocks: Sequence[Block]) -> Pieces:
        """`[layers, blocks]`: each layer's part of each block, from the engine to its place in
        memory."""
        pieces = new_pieces(self.shape.pieces, len(blocks))
        pieces["from"] = self._engine_addresses(block_ids)
        pieces["to"] = self._tier_addresses(blocks)
        return pieces

    def to_load(self, block_ids: Sequence[int], blocks: Sequence[Block]) -> Pieces:
        """The way back, with the sums that they must have."""
        pieces = new_pieces(self.shape.pieces, len(blocks))
        pieces["from"] = self._tier_addresses(blocks)
        pieces["to"] = self._engine_addresses(block_ids)
        pieces["sum"] = np.array([block.sums for block in blocks], dtype=np.uint32).T
        return pieces

    def _engine_addresses(self, block_ids: Sequence[int]) -> npt.NDArray[np.uint64]:
        return self._addresses + np.asarray(block_ids, dtype=np.uint64) * self._strides

    def _tier_addresses(self, blocks: Sequence[Block]) -> npt.NDArray[np.uint64]:
        places = np.asarray([block.address for block in blocks], dtype=np.uint64)
        return places + self._offsets
