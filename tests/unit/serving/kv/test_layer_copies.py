"""Copies of a step: each layer when it is its turn, all of it as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.native._kv import ffi
from tiermem.serving.kv.layer_copies import LayerCopier, LayerCopies
from tiermem.serving.kv.pieces import Pieces, new_pieces

NO_PACE = ffi.NULL


@pytest.fixture(scope="module")
def copier() -> Iterator[LayerCopier]:
    made = LayerCopier("kv-copy")
    yield made
    made.close()


def between(source: np.ndarray, target: np.ndarray) -> Pieces:
    """Of arrays `[layers, count, bytes]`."""
    layers, count, _ = source.shape
    pieces = new_pieces(layers, count)
    places = np.arange(layers * count, dtype=np.uint64).reshape(layers, count)
    size = np.uint64(source.shape[2])
    pieces["from"] = np.uint64(source.ctypes.data) + places * size
    pieces["to"] = np.uint64(target.ctypes.data) + places * size
    return pieces


@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3000)),
    order=st.randoms(),
    damaged=st.data(),
)
@settings(deadline=None, max_examples=50)
def test_what_was_saved_comes_back_or_is_told_to_be_bad(
    copier: LayerCopier,
    shape: tuple[int, int, int],
    order: random.Random,
    damaged: st.DataObject,
) -> None:
    layers, count, size = shape
    was = np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)
    kept, back = np.zeros_like(was), np.zeros_like(was)
    saves = LayerCopies(copier, between(was, kept), size, NO_PACE, is_load=False)
    places = list(range(layers))
    order.shuffle(places)
    for layer in places:
        assert not saves.is_all_started
        saves.start(layer)
        saves.start(layer)
    assert saves.is_all_started
    saves.wait_all()
    assert (kept == was).all()
    bad = damaged.draw(st.none() | st.tuples(st.sampled_from(places), st.integers(0, count - 1)))
    if bad is not None:
        kept[bad][size // 2] ^= 4
    pieces = between(kept, back)
    pieces["sum"] = saves.pieces["sum"]
    loads = LayerCopies(copier, pieces, size, NO_PACE, is_load=True)
    for layer in range(layers):
        loads.start(layer)
    for layer in range(layers):
        loads.wait(layer)
        assert (back[layer] == kept[layer]).all()
    found = {(int(one), int(other)) for one, other in np.argwhere(pieces["is_bad"])}
    assert found == ({bad} if bad is not None else set())
    assert loads.took_s > 0


def test_what_was_started_is_copied_before_the_end_though_nobody_keeps_it() -> None:
    was = np.random.default_rng(1).integers(0, 256, (8, 4, 1 << 20), dtype=np.uint8)
    kept = np.zeros_like(was)
    copier = LayerCopier("kv-copy")
    for _ in range(3):
        copies = LayerCopies(copier, between(was, kept), was.shape[2], NO_PACE, is_load=False)
        for layer in range(len(was)):
            copies.start(layer)
    copier.close()
    assert (kept == was).all()


def test_layers_that_were_not_started_are_not_waited_for(copier: LayerCopier) -> None:
    was = np.ones((3, 1, 100), dtype=np.uint8)
    kept = np.zeros_like(was)
    copies = LayerCopies(copier, between(was, kept), 100, NO_PACE, is_load=False)
    copies.wait_all()
    copies.start(1)
    copies.wait_all()
    assert kept.any(axis=(1, 2)).tolist() == [False, True, False]
    assert not copies.is_all_started
