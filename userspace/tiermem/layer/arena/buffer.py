"""A buffer of an arena: its bytes as a memoryview, an array, a tensor or an address."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tiermem.errors import TiermemError
from tiermem.layer.arena import copies

if TYPE_CHECKING:
    from tiermem.layer.arena.arena import Arena

Shape = int | Sequence[int]


class Buffer:
    """`bytes` at `offset` of an arena; `close` it, or leave the `with` block.

    Views, arrays and tensors are the memory itself. While one of them is in use the
    buffer cannot be closed; one that is dropped without goes with the last of them. An
    address says nothing of being used: keep the buffer open as long.
    """

    def __init__(self, arena: Arena, offset: int, size_bytes: int, export: Any) -> None:
        """Made by the arena. `export` is what all views hold; it ends with the last of them."""
        self._arena = arena
        self.offset = offset
        self.bytes = size_bytes
        self._export: Any = export

    @property
    def address(self) -> int:
        """Where it lies in this process, for C."""
        self._live()
        return self._arena.address + self.offset

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._export is None

    def view(self) -> memoryview:
        """Its bytes, to be read and written."""
        return memoryview(self._live())

    def numpy(
        self, dtype: npt.DTypeLike = np.uint8, shape: Shape | None = None
    ) -> npt.NDArray[Any]:
        """The same as an array of that shape from its begin, or of one row that takes all of it."""
        wanted = np.dtype(dtype)
        if wanted.hasobject or not wanted.itemsize:
            raise TiermemError(f"dtype {wanted}: must be of numbers or bytes, of a fixed size")
        sides = self._sides(shape, wanted.itemsize, str(wanted))
        count = math.prod(sides)
        array = np.asarray(self.view(), dtype=np.uint8)[: count * wanted.itemsize]
        return array.view(wanted).reshape(sides)

    def torch(self, dtype: Any = None, shape: Shape | None = None) -> Any:
        """The same as a tensor of that torch.dtype (torch.uint8 unless given)."""
        import torch

        wanted = dtype or torch.uint8
        sides = self._sides(shape, wanted.itemsize, str(wanted))
        size = math.prod(sides) * wanted.itemsize
        # By way of an array, which the tensor holds, so that it counts as in use; as bytes,
        # for numpy lacks some of torch's types.
        return torch.from_numpy(self.numpy(np.uint8, size)).view(wanted).reshape(sides)

    def copy_in(self, data: Any, at_bytes: int = 0) -> None:
        """Copy a contiguous buffer, or another arena's, to `at_bytes` of this one, past the cache.

        It takes as long as an emulated tier is stated to; others run meanwhile (the GIL is
        released). In a shared arena the bytes are in memory afterwards, for other hosts.
        """
        with copies.side_of(data) as source, self._side(at_bytes, source.bytes) as target:
            copies.copy(target, source)

    def copy_out(self, data: Any, at_bytes: int = 0) -> None:
        """Fill a contiguous writable buffer, or another arena's, from `at_bytes` of this one.

        Timed as `copy_in`. In a shared arena what this host's caches have is dropped first.
        """
        with (
            copies.side_of(data, writable=True) as target,
            self._side(at_bytes, target.bytes) as source,
        ):
            copies.copy(target, source)

    def write_back(self) -> None:
        """What was stored through views is in memory, for other hosts to see. Needed in a
        shared arena only; elsewhere all who use it share their caches' view."""
        copies.write_back(self._live(), self._arena.is_coherent)

    def invalidate(self) -> None:
        """What is read through views from now on is what memory has, stored by whichever host.
        Write back first what this one stored. Needed in a shared arena only."""
        copies.invalidate(self._live(), self._arena.is_coherent)

    def side(self) -> copies.Side:
        """All of it as one end of a copy."""
        return self._side(0, self.bytes)

    def close(self) -> None:
        """Give the bytes back. TiermemError while views are in use, and the second time."""
        with self._arena.settling():
            export = weakref.ref(self._live())
            self._export = None
            if (in_use := export()) is not None:
                self._export = in_use
                raise TiermemError(f"{self!r}: cannot be closed: views of it are in use")

    def _side(self, at_bytes: int, size_bytes: int) -> copies.Side:
        self._live()
        if at_bytes < 0 or at_bytes + size_bytes > self.bytes:
            raise TiermemError(
                f"{self!r}: {size_bytes} bytes at {at_bytes} reach beyond its {self.bytes}"
            )
        address = self._arena.address + self.offset + at_bytes
        return copies.Side(
            address, size_bytes, self._live(), self._arena.pace, self._arena.is_coherent
        )

    def _sides(self, shape: Shape | None, item_bytes: int, dtype: str) -> tuple[int, ...]:
        if shape is None:
            if self.bytes % item_bytes:
                raise TiermemError(
                    f"{self!r}: is no whole number of {dtype} ({item_bytes} bytes each)"
                )
            return (self.bytes // item_bytes,)
        sides = tuple(map(index, shape if isinstance(shape, Sequence) else (shape,)))
        if any(side < 0 for side in sides) or math.prod(sides) * item_bytes > self.bytes:
            raise TiermemError(f"{self!r}: shape {sides} of {dtype} does not fit in it")
        return sides

    def _live(self) -> Any:
        self._arena.check_own()
        if self._export is None:
            raise TiermemError(f"{self!r}: was closed")
        return self._export

    def __repr__(self) -> str:
        return f"<buffer of {self.bytes} bytes at {self.offset} of {self._arena!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None and not self.is_closed:
            self.close()
        elif kind is not None:
            # The error's own traceback may hold views; the bytes go back with the last.
            self._export = None
