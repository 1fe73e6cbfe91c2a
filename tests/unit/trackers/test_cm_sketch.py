"""Count-min sketch: equal to the reference, never too low before it saturates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .models import CSketch, few_examples, true_counts
from .reference import Sketch

SMALL_KEYS = st.lists(st.integers(0, 40), max_size=400)


@pytest.mark.parametrize("counter_bits", [4, 14, 18, 32])
def test_every_estimate_equals_the_reference(skewed_keys: list[int], counter_bits: int) -> None:
    keys = skewed_keys[:3000]
    shape = (4, 256, counter_bits, 9)
    reference = Sketch(*shape)
    expected = [reference.add(key) for key in keys]
    one_by_one, batched = CSketch(*shape), CSketch(*shape)
    assert [one_by_one.add(key) for key in keys] == expected
    assert batched.add_many(keys) == expected


@few_examples
@given(keys=SMALL_KEYS)
def test_never_below_the_true_count_before_saturation(keys: list[int]) -> None:
    sketch = CSketch(rows=2, columns=16, counter_bits=14, seed=3)
    sketch.add_many(keys)
    for key, count in true_counts(keys).items():
        assert sketch.estimate(key) >= count


@pytest.mark.parametrize("counter_bits", [1, 3, 16, 17])
def test_counters_stop_at_their_largest_value(counter_bits: int) -> None:
    sketch = CSketch(rows=4, columns=16, counter_bits=counter_bits, seed=1)
    largest = 2**counter_bits - 1
    assert sketch.add_many([5] * (largest + 3))[-4:] == [largest] * 4


@few_examples
@given(first=SMALL_KEYS, second=SMALL_KEYS)
def test_clear_leaves_nothing(first: list[int], second: list[int]) -> None:
    used, fresh = (CSketch(rows=4, columns=64, counter_bits=14, seed=5) for _ in range(2))
    used.add_many(first)
    used.clear()
    assert used.add_many(second) == fresh.add_many(second)


def test_clear_leaves_nothing_when_most_counters_were_used() -> None:
    sketch = CSketch(rows=4, columns=64, counter_bits=20, seed=5)
    sketch.add_many(list(range(5000)))
    sketch.clear()
    assert not any(sketch.estimate(key) for key in range(5000))


def test_counters_beyond_sixteen_bits_are_as_exact_as_small_ones() -> None:
    sketch = CSketch(rows=4, columns=1 << 14, counter_bits=18, seed=1)
    for key in range(40):
        assert sketch.add_many([key] * 65_540)[-10:] == list(range(65_531, 65_541))
    assert all(sketch.estimate(key) >= 65_540 for key in range(40))
    sketch.clear()
    assert sketch.add_many([7] * 65_540)[-1] == 65_540
