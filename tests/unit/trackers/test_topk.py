"""HPT and HWT's core: the sorted CAM behind the sketch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from .models import CTopK, few_examples, sketch_config, true_counts
from .reference import SketchTopK

KEYS = st.lists(st.integers(0, 30), max_size=300)


@pytest.mark.parametrize("entries", [1, 2, 25, 300])
@pytest.mark.parametrize("counter_bits", [3, 14, 18])
def test_the_list_equals_the_reference(
    skewed_keys: list[int], entries: int, counter_bits: int
) -> None:
    keys = skewed_keys[:1500]
    config = sketch_config(entries, counter_bits)
    reference = SketchTopK(entries, config.rows, config.columns, counter_bits, seed=1)
    for key in keys:
        reference.add(key)
    one_by_one, batched = CTopK(config), CTopK(config)
    one_by_one.add(keys)
    batched.add_many(keys)
    assert one_by_one.list() == reference.list()
    assert batched.list() == reference.list()


@few_examples
@given(keys=KEYS, entries=st.integers(1, 8), counter_bits=st.integers(2, 14))
def test_any_short_stream_equals_the_reference(
    keys: list[int], entries: int, counter_bits: int
) -> None:
    config = sketch_config(entries, counter_bits, columns=16)
    reference = SketchTopK(entries, config.rows, 16, counter_bits, seed=1)
    for key in keys:
        reference.add(key)
    tracker = CTopK(config)
    tracker.add_many(keys)
    assert tracker.list() == reference.list()


def test_the_largest_cam_equals_the_reference() -> None:
    rng = np.random.default_rng(3)
    keys = (rng.zipf(1.05, 9000) % 20000).tolist()
    config = sketch_config(entries=4096, columns=4096)
    reference = SketchTopK(4096, config.rows, 4096, 14, seed=1)
    for key in keys:
        reference.add(key)
    tracker = CTopK(config)
    tracker.add_many(keys)
    assert len(reference.list()) == 4096
    assert tracker.list() == reference.list()


@few_examples
@given(keys=KEYS, entries=st.integers(1, 8))
def test_the_cam_is_the_top_of_the_estimates_it_saw(keys: list[int], entries: int) -> None:
    """With a sketch wide enough to be exact, estimates are counts."""
    tracker = CTopK(sketch_config(entries, columns=1 << 16))
    tracker.add_many(keys)
    listed = tracker.list()
    counts = true_counts(keys)
    assert [count for _, count in listed] == sorted(counts.values(), reverse=True)[:entries]
    assert all(counts[key] == count for key, count in listed)


@few_examples
@given(keys=KEYS)
def test_hottest_first_and_each_key_once(keys: list[int]) -> None:
    tracker = CTopK(sketch_config(entries=6, columns=16))
    tracker.add_many(keys)
    listed = tracker.list()
    assert len({key for key, _ in listed}) == len(listed)
    assert [c for _, c in listed] == sorted((c for _, c in listed), reverse=True)
    assert tracker.list(most=2) == listed[:2]


def test_of_equal_counts_the_earlier_comes_first_and_the_later_leaves() -> None:
    tracker = CTopK(sketch_config(entries=2, columns=1 << 16))
    tracker.add([7, 8])
    assert tracker.list() == [(7, 1), (8, 1)]
    tracker.add([9])
    assert tracker.list() == [(7, 1), (8, 1)]
    tracker.add([9])
    assert tracker.list() == [(9, 2), (7, 1)]


@few_examples
@given(first=KEYS, second=KEYS)
def test_clear_leaves_nothing(first: list[int], second: list[int]) -> None:
    used, fresh = (CTopK(sketch_config(entries=4, columns=32)) for _ in range(2))
    used.add_many(first)
    used.clear()
    assert used.list() == []
    used.add_many(second)
    fresh.add_many(second)
    assert used.list() == fresh.list()
