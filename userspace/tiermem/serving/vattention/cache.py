"""A cache that transformers' models generate with: rows of vAttention's tensors.

    tensors = KvTensors(kv, torch.float32)
    cache = VirtualCache(tensors, [kv.alloc_reqid(prompt.shape[1])])
    model.generate(prompt, past_key_values=cache)
    cache.end()

Attention is given slices of the tensors, without a copy, where the reqIds of a batch are
evenly spaced; else one copy of the batch's tokens. Requests may be put together anew for
every step, and have different lengths then (`decode_inputs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

from tiermem.errors import TiermemError
from tiermem.serving.vattention.tensors import KvTensors


class Rows:
    """The requests of a batch: which rows of the tensors, in which order."""

    def __init__(self, tensors: KvTensors, req_ids: Sequence[int]) -> None:
        if not req_ids or len(set(req_ids)) != len(req_ids):
            raise TiermemError(f"reqIds {list(req_ids)}: each of a batch is another, at least one")
        self.kv = tensors.kv
        self.req_ids = list(req_ids)
        self.select = _as_slice(self.req_ids)

    def tokens(self) -> list[int]:
        """How long each is."""
        return [self.kv.tokens(req_id) for req_id in self.req_ids]

    def step(self, tokens: Sequence[int]) -> None:
        """Have memory for so many each, and all readable up to the longest."""
        self.kv.step(dict(zip(self.req_ids, tokens, strict=True)))
        for req_id, count in zip(self.req_ids, tokens, strict=True):
            if count < (longest := max(tokens)):
                self.kv.cover(req_id, longest)


class VirtualLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values. The model's first layer has memory mapped for all."""

    is_croppable = True
    is_sliding = False
    supports_early_init = False

    def __init__(
        self, rows: Rows, keys: torch.Tensor, values: torch.Tensor, *, is_first: bool
    ) -> None:
        super().__init__()
        self._rows, self._is_first = rows, is_first
        self._all_keys, self._all_values = keys, values
        self.tokens = rows.tokens()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is left to do."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store new tokens, `[batch, kv_heads, tokens, head_dim]`: all keys and values."""
        added = key_states.shape[2]
        self._check(key_states, added)
        self._check(value_states, added)
        if self._is_ragged and added != 1:
            raise TiermemError(
                f"{added} new tokens for requests of {self.tokens} tokens: requests of different "
                "lengths get one token at a time"
            )
        begins, ends = self.tokens, [count + added for count in self.tokens]
        if self._is_first:
            self._rows.step(ends)
        for stored, new in ((self._all_keys, key_states), (self._all_values, value_states)):
            self._store(stored, new, begins, added)
        self.tokens = ends
        return self._read(self._all_keys), self._read(self._all_values)

    def get_seq_length(self) -> int:
        """Of the longest request."""
        return max(self.tokens)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """All tokens are there, from the first on."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """The longest context."""
        return int(self._all_keys.shape[1])

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens: so many (negative), or all beyond so many (positive)."""
        if tokens_to_remove > 0:
            self.truncate([min(count, tokens_to_remove) for count in self.tokens])
        else:
            self.truncate([max(count + tokens_to_remove, 0) for count in self.tokens])

    def truncate(self, tokens: Sequence[int]) -> None:
        """Forget each request's tokens beyond so many."""
        if len(tokens) != len(self.tokens) or any(map(_is_more, tokens, self.tokens)):
            raise TiermemError(f"truncate to {list(tokens)} tokens: there are {self.tokens}")
        self.tokens = list(tokens)
        if self._is_first:
            self._rows.step(self.tokens)

    def reset(self) -> None:
        """Forget all tokens."""
        self.truncate([0] * len(self.tokens))

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Beam search: each row gets what another one had."""
        if self._is_ragged:
            raise TiermemError(f"requests of {self.tokens} tokens: beams have one length")
        for stored in (self._all_keys, self._all_values):
            chosen = self._read(stored).index_select(0, beam_idx.to(stored.device))
            self._store(stored, chosen, [0] * len(self.tokens), chosen.shape[2])

    def offload(self) -> None:
        """Where the memory is, is the source's business."""
        raise TiermemError("vAttention's cache is not offloaded by transformers")

    prefetch = offload

    @property
    def _is_ragged(self) -> bool:
        return len(set(self.tokens)) > 1

    def _check(self, states: torch.Tensor, added: int) -> None:
        heads, head_dim = self._all_keys.shape[2:]
        wanted = (len(self.tokens), heads, added, head_dim)
        if states.shape != wanted or states.dtype != self.dtype or states.device != self.device:
            raise TiermemError(
                f"new tokens are {states.dtype} {tuple(states.shape)} on {states.device}, the "
                f"cache holds {self.dtype} {wanted} on {self.device}"
            )

    def _store(
        self, stored: torch.Tensor, new: torch.Tensor, begins: Sequence[int], added: int
    ) -> None:
        select, begin = self._rows.select, begins[0]
        if isinstance(select, slice) and begins.count(begin) == len(begins):
            stored[select, begin : begin + added] = new.transpose(1, 2)
            return
        for row, (req_id, at) in enumerate(zip(self._rows.req_ids, begins, strict=True)):
            stored[req_id, at : at + added] = new[row].transpose(0, 1)

    def _read(self, stored: torch.Tensor) -> torch.Tensor:
        # The tokens first: an index of rows would copy the whole context.
        return stored[:, : max(self.tokens)][self._rows.select].transpose(1, 2)


class VirtualCache(Cache):  # type: ignore[misc]
    """The KV of some reqIds, as one batch in this order; as long as they are now."""

    def __init__(self, tensors: KvTensors, req_ids: Sequence[int]) -> None:
        """TiermemError for reqIds that are no request's, or one twice."""
        self._rows = Rows(tensors, req_ids)
        super().__init__(
            layers=[
                VirtualLayer(self._rows, keys, values, is_first=layer == 0)
                for layer, (keys, values) in enumerate(tensors.layers)
            ]
        )

    @property
    def req_ids(self) -> tuple[int, ...]:
        """Whose KV it is."""
        return tuple(self._rows.req_ids)

    @property
    def tokens(self) -> tuple[int, ...]:
        """How long each request is."""
        return tuple(self.layers[0].tokens)

    def decode_inputs(self) -> dict[str, torch.Tensor]:
        """What a model needs beside one new token of each request, whatever their lengths:
        `attention_mask` `[batch, longest + 1]` and `position_ids` `[batch, 1]`."""
        tokens = torch.tensor(self.tokens)
        places = torch.arange(int(tokens.max()) + 1)
        return {
            # The new token is in its request's first free place, not in the last column.
            "attention_mask": (places[None, :] <= tokens[:, None]).long(),
            "position_ids": tokens[:, None],
        }

    def truncate(self, tokens: Sequence[int]) -> None:
        """Forget each request's tokens beyond so many, such as a prompt's padding."""
        for layer in self.layers:
            layer.truncate(tokens)

    def end(self) -> None:
        """The requests ended; others may have their memory."""
        for req_id in self._rows.req_ids:
            self._rows.kv.free_reqid(req_id)


def _as_slice(req_ids: list[int]) -> slice | list[int]:
    """Evenly spaced rows are a view; others an index, which copies."""
    stride = req_ids[1] - req_ids[0] if len(req_ids) > 1 else 1
    even = range(req_ids[0], req_ids[0] + stride * len(req_ids), stride)
    return (
        slice(req_ids[0], req_ids[-1] + 1, stride) if stride > 0 and req_ids == [*even] else req_ids
    )


def _is_more(wanted: int, there: int) -> bool:
    return not 0 <= wanted <= there
