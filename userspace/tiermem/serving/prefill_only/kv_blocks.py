"""Keys and values in blocks: of one layer for the run under way, of all layers for the prefix
cache; all in one piece, so that a kernel finds either by a block's number.

A block's keys and values of one layer lie together, and are copied as a whole. The piece is
torch's, or a buffer of an arena (docs/layer.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tiermem.errors import TiermemError
from tiermem.layer.arena import Buffer
from tiermem.serving.prefill_only.budget import Budget, whole_blocks
from tiermem.serving.prefill_only.dimensions import Dimensions
from tiermem.serving.prefill_only.parts import Part


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of an input's blocks, in order: `first` in the first layer, more by `step` in each
    after it. int32."""

    first: torch.Tensor
    step: torch.Tensor

    def numbers(self, layer: int) -> torch.Tensor:
        """In this layer."""
        return self.first + layer * self.step


class KvBlocks:
    """all: `[blocks, numbers of a block]`; work: those of the run under way, which come first."""

    def __init__(
        self,
        model: Dimensions,
        budget: Budget,
        dtype: torch.dtype,
        device: torch.device,
        buffer: Buffer | None = None,
    ) -> None:
        """buffer: the memory to use. TiermemError where it is too small."""
        if buffer is not None and buffer.bytes < budget.kv_bytes:
            raise TiermemError(f"{buffer!r}: keys and values need {budget.kv_bytes} bytes")
        work, self._cached = whole_blocks(budget.max_input_tokens), budget.cache_blocks
        numbers = budget.block_bytes // model.layers // dtype.itemsize
        shape = (work + model.layers * self._cached, numbers)
        self.all = (
            torch.empty(shape, dtype=dtype, device=device)
            if buffer is None
            else buffer.torch(dtype, shape)
        )
        self.work = self.all[:work]

    def read(self, layer: int, places: Sequence[int]) -> None:
        """One layer of these blocks of the cache, to the first of `work`."""
        if places:
            chosen = torch.tensor(places, device=self.all.device)
            torch.index_select(self._layer(layer), 0, chosen, out=self.work[: len(places)])

    def write(self, layer: int, places: Sequence[int], first: int) -> None:
        """The same, the other way, from `first` of `work` on."""
        if places:
            chosen = torch.tensor(places, device=self.all.device)
            self._layer(layer).index_copy_(0, chosen, self.work[first : first + len(places)])

    def table(self, part: Part) -> Table:
        """Of an input that reads and keeps blocks where they are."""
        lease, work = part.lease, len(self.work)
        first = list(range(part.work, part.work + whole_blocks(len(part.tokens))))
        behind = lease.written_from + len(lease.write)
        first[behind:] = [one - len(lease.write) for one in first[behind:]]
        first = [one - len(lease.read) for one in first]
        step = [0] * len(first)
        for begin, places in ((0, lease.read), (lease.written_from, lease.write)):
            here = slice(begin, begin + len(places))
            first[here] = [work + place for place in places]
            step[here] = [self._cached] * len(places)
        return Table(torch.tensor(first, dtype=torch.int32), torch.tensor(step, dtype=torch.int32))

    def _layer(self, layer: int) -> torch.Tensor:
        begin = len(self.work) + layer * self._cached
        return self.all[begin : begin + self._cached]
