"""Copies and checks of many pieces in one call of C, with the GIL released."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tiermem.native._kv import ffi, lib
from tiermem.native.struct_dtype import struct_dtype

PIECE = struct_dtype(ffi, "kv_piece")
Pieces = npt.NDArray[Any]


def new_pieces(*shape: int) -> Pieces:
    """All 0; fill `to`, `from` and, to load, `sum`."""
    return np.zeros(shape, dtype=PIECE)


def save(pieces: Pieces, piece_bytes: int, pace: Any) -> None:
    """Copy each and set its sum."""
    lib.kv_blocks_save(given(pieces), pieces.size, piece_bytes, cast_pace(pace))


def load(pieces: Pieces, piece_bytes: int, pace: Any) -> int:
    """Copy each and mark those whose sum is wrong; how many."""
    return int(lib.kv_blocks_load(given(pieces), pieces.size, piece_bytes, cast_pace(pace)))


def is_whole(address: int, sums: Sequence[int], piece_bytes: int) -> bool:
    """Whether pieces that lie one behind the other are what the sums are of."""
    pieces = new_pieces(len(sums))
    pieces["from"] = address + np.arange(len(sums), dtype=np.uint64) * np.uint64(piece_bytes)
    pieces["sum"] = sums
    return not lib.kv_blocks_check(given(pieces), len(pieces), piece_bytes)


def given(pieces: Pieces) -> Any:
    """The first of them for C; they have to lie one behind the other."""
    return ffi.cast("struct kv_piece *", pieces.ctypes.data)


def cast_pace(pace: Any) -> Any:
    """A tier's schedule, or NULL, whichever extension made it."""
    return ffi.cast("struct copy_pace *", pace)
