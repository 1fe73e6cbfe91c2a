"""What a step copies, layer by layer, on a thread of C.

No Python runs on that thread: an engine that computes beside it would have to wait for its
interpreter again and again.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from tiermem.errors import KernelError
from tiermem.native._kv import ffi, lib
from tiermem.serving.kv.pieces import Pieces, cast_pace, given


class LayerCopier:
    """One thread starts copies; any may wait. `close` it: what was started is done first."""

    def __init__(self, name: str) -> None:
        """name: of the thread, 15 characters at most. KernelError where none can be had."""
        self._copier = lib.kv_copier_start(name.encode())
        if not self._copier:
            raise KernelError(f"start the thread {name}", ffi.errno)
        self._under_way: deque[tuple[int, LayerCopies]] = deque()

    def submit(self, copies: LayerCopies, copy: Any) -> int:
        """One of `copies`, whose memory it keeps until it is done; its number."""
        while self._under_way and self.is_done(self._under_way[0][0]):
            self._under_way.popleft()
        number = int(lib.kv_copier_submit(self._copier, copy))
        self._under_way.append((number, copies))
        return number

    def is_done(self, number: int) -> bool:
        """That one, and all before it."""
        return bool(lib.kv_copier_done(self._copier) >= number)

    def wait(self, number: int) -> None:
        """Until it is done."""
        lib.kv_copier_wait(self._copier, number)

    def close(self) -> None:
        """Once."""
        lib.kv_copier_stop(self._copier)
        self._under_way.clear()


class LayerCopies:
    """Pieces `[layers, count]`, copied layer by layer in the order in which they are started."""

    def __init__(
        self, copier: LayerCopier, pieces: Pieces, piece_bytes: int, pace: Any, *, is_load: bool
    ) -> None:
        """Nothing is copied yet."""
        layers, count = pieces.shape
        self.pieces = pieces
        self._copier = copier
        self._numbers = [0] * layers
        self._last = 0
        self._copies = ffi.new("struct kv_copy[]", layers)
        for layer in range(layers):
            one = self._copies[layer]
            one.pieces = given(pieces[layer])
            one.pace = cast_pace(pace)
            one.piece_bytes, one.count, one.is_load = piece_bytes, count, is_load

    def start(self, layer: int) -> None:
        """It may be copied; what was started before goes first. No second time."""
        if not self._numbers[layer]:
            copy = ffi.addressof(self._copies, layer)
            self._last = self._numbers[layer] = self._copier.submit(self, copy)

    @property
    def is_all_started(self) -> bool:
        """Whether no layer was left out."""
        return all(self._numbers)

    def wait(self, layer: int) -> None:
        """Until a layer that was started is copied."""
        self._copier.wait(self._numbers[layer])

    def wait_all(self) -> None:
        """Until all that was started is copied."""
        self._copier.wait(self._last)

    @property
    def took_s(self) -> float:
        """What the layers that were copied took together."""
        return float(sum(one.took_ns for one in self._copies)) * 1e-9
