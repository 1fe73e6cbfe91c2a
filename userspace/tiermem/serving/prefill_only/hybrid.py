"""Hybrid prefilling (PrefillOnly, 4.1): inputs computed layer by layer.

Norms, projections, rotary positions and MLP take a chunk of tokens at a time, since what they
need in between is many times as wide as what comes out, which is written in its place in the
workspace. Attention takes all tokens at once. Keys and values are of one layer at a time:
those of the next are written over them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tiermem.serving.prefill_only.attention import LayerAttention
from tiermem.serving.prefill_only.budget import CHUNK_TOKENS
from tiermem.serving.prefill_only.decoder import Decoder
from tiermem.serving.prefill_only.parts import Part
from tiermem.serving.prefill_only.workspace import Workspace


class HybridPrefill:
    """A decoder, and the workspace that its prefills use."""

    def __init__(
        self,
        decoder: Decoder,
        workspace: Workspace,
        attention: LayerAttention,
        chunk_tokens: int = CHUNK_TOKENS,
    ) -> None:
        self._decoder, self._space, self._attention = decoder, workspace, attention
        self._chunk = chunk_tokens
        # The last chunk may have some of the next one's rows, see `_chunks`; and the last layer is
        # computed of one row of each input.
        rows = min(chunk_tokens + attention.tokens_min, workspace.tokens)
        decoder.prepare(workspace, max(rows, attention.parts_max))

    def run(self, parts: Sequence[Part]) -> torch.Tensor:
        """Logits `[inputs, vocab]`, fp32, of what follows each. Their places to write are
        written. For torch.inference_mode()."""
        space, decoder, attention = self._space, self._decoder, self._attention
        new = parts[-1].rows.stop
        ids = torch.tensor([token for part in parts for token in part.tokens[part.cached :]])
        places = torch.cat([torch.arange(part.cached, len(part.tokens)) for part in parts])
        for chunk in self._chunks(new):
            space.hidden[chunk] = decoder.embed(ids[chunk])
        attention.begin(parts)
        last_rows = torch.tensor([part.rows.stop - 1 for part in parts])
        for layer in range(decoder.layers):
            attention.enter(layer)
            for chunk in self._chunks(new):
                queries, keys, values = decoder.project(
                    layer, space.hidden[chunk], places[chunk], space
                )
                space.queries[chunk] = queries
                attention.store(chunk, keys, values)
            if layer == decoder.layers - 1 and attention.tokens_min == 1:
                return decoder.logits(self._finish(layer, last_rows))
            attention.attend(space.queries[:new], decoder.scale)
            for chunk in self._chunks(new):
                decoder.transform(layer, space.hidden[chunk], space.queries[chunk], space)
        return decoder.logits(space.hidden[last_rows])

    def _finish(self, layer: int, rows: torch.Tensor) -> torch.Tensor:
        """The last layer: nobody asks for what it makes of other tokens than the last ones."""
        queries, hidden = self._space.queries[rows], self._space.hidden[rows]
        self._attention.attend_last(queries, self._decoder.scale)
        self._decoder.transform(layer, hidden, queries, self._space)
        return hidden

    def _chunks(self, end: int) -> list[slice]:
        """A last one that is too short for the kernels goes with the one before."""
        begins = list(range(0, end, self._chunk))
        if len(begins) > 1 and end - begins[-1] < self._attention.tokens_min:
            begins.pop()
        return [slice(a, b) for a, b in zip(begins, [*begins[1:], end], strict=True)]
