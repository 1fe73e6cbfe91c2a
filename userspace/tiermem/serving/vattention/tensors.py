"""The reservation as torch's tensors, and the layout that a transformers model needs."""

from __future__ import annotations

from typing import Any

import torch

from tiermem.errors import ConfigError, TiermemError
from tiermem.serving.vattention.layer_backend import LayerBackend
from tiermem.serving.vattention.layout import PAGE_GROUPS_BYTES, KvLayout
from tiermem.serving.vattention.vattention import VAttention

_ATTENTION = {"full_attention", "sliding_attention", "chunked_attention"}


def layout_of(
    config: Any,
    dtype: torch.dtype,
    *,
    context_tokens: int,
    batch: int,
    group_bytes: int = PAGE_GROUPS_BYTES[-1],
    layers_together: bool = False,
) -> KvLayout:
    """Of a model by its transformers config. ConfigError where not every layer attends."""
    text = config.get_text_config(decoder=True)
    if others := set(getattr(text, "layer_types", None) or ()) - _ATTENTION:
        raise ConfigError(
            f"{text.model_type}: has layers of {', '.join(sorted(others))}, whose state is no KV"
        )
    heads = text.num_attention_heads
    return KvLayout(
        layers=text.num_hidden_layers,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        item_bytes=dtype.itemsize,
        context_tokens=context_tokens,
        batch=batch,
        group_bytes=group_bytes,
        layers_together=layers_together,
    )


class KvTensors:
    """Keys and values of every layer, `[batch, context, kv_heads, head_dim]`, over addresses.

    Only what `step` has mapped may be touched. While the tensors, or views of them, are in
    use, `kv` cannot be closed.
    """

    def __init__(self, kv: VAttention, dtype: torch.dtype) -> None:
        """TiermemError for a dtype of another size, or memory that is not this host's."""
        layout, backend = kv.layout, kv.backend
        if dtype.itemsize != layout.item_bytes:
            raise TiermemError(f"{dtype}: has not the layout's {layout.item_bytes} bytes")
        if not isinstance(backend, LayerBackend):
            raise TiermemError(f"{type(backend).__name__}: is no memory of this host")
        self.kv, self.dtype = kv, dtype
        flat = torch.frombuffer(backend.buffer(), dtype=dtype)
        self.layers = [
            (_layer(flat, layout, layer, 0), _layer(flat, layout, layer, 1))
            for layer in range(layout.layers)
        ]


def _layer(flat: torch.Tensor, layout: KvLayout, layer: int, is_value: int) -> torch.Tensor:
    tensor_items = layout.batch * layout.row_bytes // layout.item_bytes
    token_items = layout.token_bytes // layout.item_bytes
    if layout.layers_together:
        begin = is_value * tensor_items + layer * layout.kv_heads * layout.head_dim
    else:
        begin = (2 * layer + is_value) * tensor_items
    return flat.as_strided(
        (layout.batch, layout.context_tokens, layout.kv_heads, layout.head_dim),
        (layout.row_bytes // layout.item_bytes, token_items, layout.head_dim, 1),
        begin,
    )
