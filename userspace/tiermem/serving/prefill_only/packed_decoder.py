"""A model's weights as vLLM computes with them on CPUs, and its kernels for what is between.

oneDNN wants weights in an order of its own, and otherwise arranges them anew at each product,
which for few rows is most of the work. So they are packed once: queries, keys and values in one
matrix, the MLP's two in another. Each module of the model gives up its weights as they are
packed, so that none is there twice; an embedding that is also the head stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm import _custom_ops as kernels

from tiermem.errors import MissingError
from tiermem.serving.prefill_only.transformers_decoder import write_rotations
from tiermem.serving.prefill_only.workspace import Workspace

# Products of other numbers of rows that oneDNN keeps prepared; vLLM's number.
_PREPARED = 32
_OPERATIONS = ("onednn_mm", "rms_norm", "fused_add_rms_norm", "rotary_embedding")


def can_pack(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies that here: bfloat16 only where the processor does."""
    try:
        kernels.create_onednn_mm(torch.zeros((64, 64), dtype=dtype).t(), 1)
    except RuntimeError:
        return False
    return True


class PackedDecoder:
    """See `decoder.Decoder`. Of a dtype that `can_pack`."""

    is_packed = True

    def __init__(self, model: Any) -> None:
        """MissingError where vLLM was built without one of the kernels, or the MLP has another
        activation."""
        if missing := [one for one in _OPERATIONS if not hasattr(torch.ops._C, one)]:
            raise MissingError(f"vLLM's build has no {', '.join(missing)}")
        if model.config.hidden_act != "silu":
            raise MissingError(f"no kernel for {model.config.hidden_act}")
        decoder = model.model
        self.dtype, self.device = model.dtype, model.device
        self.scale: float = decoder.layers[0].self_attn.scaling
        self._head_dim = decoder.layers[0].self_attn.head_dim
        self._embed, self._rotary, self._norm = (
            decoder.embed_tokens,
            decoder.rotary_emb,
            decoder.norm,
        )
        is_tied = model.lm_head.weight.data_ptr() == decoder.embed_tokens.weight.data_ptr()
        self._head = model.lm_head if is_tied else _Packed([model.lm_head]).new
        self._layers = [_Layer(layer) for layer in decoder.layers]
        self.layers = len(self._layers)

    def prepare(self, space: Workspace, rows: int) -> None:
        """The kernel wants halves of both side by side; those of `sines` are then in nobody's
        way."""
        write_rotations(self._rotary, space)
        half = self._head_dim // 2
        space.cosines[:, half:] = space.sines[:, :half]
        space.passing = _Passing(rows, self._layers[0], space.hidden)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Hidden states of these tokens."""
        found: torch.Tensor = self._embed(ids)
        return found

    def project(
        self, layer: int, hidden: torch.Tensor, places: torch.Tensor, space: Workspace
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See Decoder."""
        of, passing = self._layers[layer], _passing(space)
        projected = passing.projected(hidden)
        of.projection(_normed(hidden, of.norm, passing.hidden(hidden)), projected)
        queries, keys, values = projected.split(of.widths, dim=1)
        kernels.rotary_embedding(places, queries, keys, self._head_dim, space.cosines, True)
        queries, keys, values = (
            one.unflatten(1, (-1, self._head_dim)) for one in (queries, keys, values)
        )
        return queries, keys, values

    def transform(
        self, layer: int, hidden: torch.Tensor, attended: torch.Tensor, space: Workspace
    ) -> None:
        """See Decoder."""
        of, passing = self._layers[layer], _passing(space)
        output, gated, inner = (
            passing.hidden(hidden),
            passing.gated(hidden),
            passing.inner(hidden),
        )
        of.output(attended.flatten(1), output)
        kernels.fused_add_rms_norm(output, hidden, of.mlp_norm.weight, of.mlp_norm.variance_epsilon)
        of.gate_and_up(output, gated)
        gate, up = gated.chunk(2, dim=1)
        # vLLM's kernel for both takes two and a half times as long.
        torch.ops.aten.silu.out(gate, out=inner).mul_(up)
        of.down(inner, output)
        hidden += output

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """`[rows, vocab]`, fp32."""
        found: torch.Tensor = self._head(
            _normed(hidden, self._norm, torch.empty_like(hidden))
        ).float()
        return found


class _Layer:
    """One of transformers' layers, packed."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm, self.mlp_norm = layer.input_layernorm, layer.post_attention_layernorm
        projections = [attention.q_proj, attention.k_proj, attention.v_proj]
        self.widths = [one.out_features for one in projections]
        self.projection, self.output = _Packed(projections), _Packed([attention.o_proj])
        self.gate_and_up = _Packed([mlp.gate_proj, mlp.up_proj])
        self.down = _Packed([mlp.down_proj])


class _Packed:
    """Linear modules of the same input, side by side."""

    def __init__(self, modules: list[Any]) -> None:
        weight = torch.cat([one.weight for one in modules])
        self.width = weight.shape[0]
        for one in modules:
            one.weight.data = weight.new_empty(0)
        self._handler = kernels.create_onednn_mm(weight.t(), _PREPARED)
        biases = [one.bias for one in modules]
        self._bias = None if biases[0] is None else torch.cat(biases)

    def __call__(self, rows: torch.Tensor, out: torch.Tensor) -> None:
        torch.ops._C.onednn_mm(out, rows, self._bias, self._handler.handler_tensor)

    def new(self, rows: torch.Tensor) -> torch.Tensor:
        """In memory of its own."""
        return kernels.onednn_mm(self._handler, rows, self._bias)


class _Passing:
    """What a chunk is computed in, taken once: outputs of the next product or norm are written
    over those before it, where nobody needs them any more."""

    def __init__(self, rows: int, layer: _Layer, like: torch.Tensor) -> None:
        inner = layer.gate_and_up.width // 2
        self._widths = like.shape[1], sum(layer.widths), 2 * inner, inner
        widest = max(self._widths[1], self._widths[2])
        self._hidden, self._wide, self._inner = (
            like.new_empty(rows * width) for width in (like.shape[1], widest, inner)
        )

    def hidden(self, like: torch.Tensor) -> torch.Tensor:
        """As many rows as `like` has, as all of these."""
        return self._rows(self._hidden, like, self._widths[0])

    def projected(self, like: torch.Tensor) -> torch.Tensor:
        """Queries, keys and values; where `gated` is too."""
        return self._rows(self._wide, like, self._widths[1])

    def gated(self, like: torch.Tensor) -> torch.Tensor:
        """The MLP's two, side by side."""
        return self._rows(self._wide, like, self._widths[2])

    def inner(self, like: torch.Tensor) -> torch.Tensor:
        """What the MLP makes of them."""
        return self._rows(self._inner, like, self._widths[3])

    @staticmethod
    def _rows(memory: torch.Tensor, like: torch.Tensor, width: int) -> torch.Tensor:
        return memory[: like.shape[0] * width].view(-1, width)


def _passing(space: Workspace) -> _Passing:
    assert isinstance(space.passing, _Passing)
    return space.passing


def _normed(hidden: torch.Tensor, norm: Any, out: torch.Tensor) -> torch.Tensor:
    kernels.rms_norm(out, hidden, norm.weight, norm.variance_epsilon)
    return out
