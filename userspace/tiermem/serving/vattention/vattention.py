"""vAttention's own interface: `init`, then `alloc_reqid`, `step` and `free_reqid`.

    kv = init(layout, memory_bytes=1 << 30)
    req_id = kv.alloc_reqid(tokens=len(prompt))
    kv.step({req_id: len(prompt)})          # before the prefill, and before each token
    kv.free_reqid(req_id)

Tensors of the whole batch and the longest context are at `kv.backend.address` from the
begin on; memory comes as tokens do. See docs/serving.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from tiermem.errors import ConfigError
from tiermem.serving.vattention.ahead import Ahead, MappingThread
from tiermem.serving.vattention.allocator import Allocator, Usage
from tiermem.serving.vattention.backend import Backend, BlockMapper, InUseError
from tiermem.serving.vattention.layer_backend import LayerBackend
from tiermem.serving.vattention.layout import KvLayout
from tiermem.serving.vattention.sources import PrivateMemory, Source


def init(
    layout: KvLayout,
    *,
    memory_bytes: int | None = None,
    source: Source | None = None,
    backend: Backend | None = None,
    ahead: Ahead | None = Ahead(),  # noqa: B008 - frozen
) -> VAttention:
    """Reserve the tensors. One of `memory_bytes` (of new memory), `source`, `backend`.

    `ahead`: None maps within `step` only.
    """
    if sum(one is not None for one in (memory_bytes, source, backend)) != 1:
        raise ConfigError("one of memory_bytes, source and backend says where memory is from")
    with ExitStack() as undo:
        if backend is None:
            if source is None:
                source = PrivateMemory(memory_bytes or 0)
                undo.callback(source.close)
            layer = LayerBackend(layout, source)
            undo.pop_all()
            undo.callback(layer.close)
            backend = layer
        made = VAttention(layout, backend, ahead)
        undo.pop_all()
    return made


class VAttention:
    """KV of requests in tensors that are contiguous; `close` it, or leave the `with` block."""

    def __init__(self, layout: KvLayout, backend: Backend, ahead: Ahead | None) -> None:
        self.layout = layout
        self.backend = backend
        blocks = backend.memory_bytes // layout.block_bytes
        self.allocator = Allocator(layout, blocks, BlockMapper(layout, backend))
        self._ahead, self._is_closed = ahead, False
        self.mapping_ahead = MappingThread(self.allocator, ahead) if ahead else None

    @property
    def usage(self) -> Usage:
        """Blocks: all, mapped, needed."""
        return self.allocator.usage

    def can_alloc(self, tokens: int) -> bool:
        """Whether a request of so many tokens would be admitted."""
        return self.allocator.can_alloc(tokens)

    def alloc_reqid(self, tokens: int = 0) -> int:
        """Admit a request that begins with so many tokens; NoSpaceError."""
        req_id = self.allocator.alloc_reqid(tokens)
        self._wake()
        return req_id

    def free_reqid(self, req_id: int) -> None:
        """The request ended; what is mapped for it stays until somebody needs it."""
        self.allocator.free_reqid(req_id)

    def step(self, tokens: Mapping[int, int]) -> int:
        """Have memory for so many tokens of each request, those of the coming computation
        included. Blocks mapped on the way; NoSpaceError, and nothing has changed."""
        mapped = self.allocator.step(tokens)
        self._wake()
        return mapped

    def cover(self, req_id: int, tokens: int) -> None:
        """Let a kernel read a row beyond its memory, up to so many tokens: zeros."""
        self.allocator.cover(req_id, tokens)

    def tokens(self, req_id: int) -> int:
        """How long a request is, by its last step."""
        return self.allocator.tokens(req_id)

    def close(self) -> None:
        """Give all back, once. InUseError while tensors are in use: then all goes on."""
        if self._is_closed:
            return
        self._end_mapping_ahead()
        try:
            self.backend.close()
        except InUseError:
            if self._ahead is not None:
                self.mapping_ahead = MappingThread(self.allocator, self._ahead)
                self.mapping_ahead.wake()
            raise
        self._is_closed = True

    def _end_mapping_ahead(self) -> None:
        if self.mapping_ahead is not None:
            self.mapping_ahead.close()
            self.mapping_ahead = None

    def _wake(self) -> None:
        if self.mapping_ahead is not None:
            self.mapping_ahead.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None:
            self.close()
        elif not self._is_closed:
            # The error's own traceback may hold tensors: memory goes with the last of them.
            self._is_closed = True
            self._end_mapping_ahead()
            self.backend.abandon()
