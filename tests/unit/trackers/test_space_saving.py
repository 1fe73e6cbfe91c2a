"""Space-Saving: equal to the reference, and within its proven error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .models import CTopK, few_examples, space_saving_config, true_counts
from .reference import SpaceSaving

KEYS = st.lists(st.integers(0, 30), max_size=300)


@pytest.mark.parametrize(("entries", "counter_bits"), [(1, 32), (50, 32), (400, 32), (20, 4)])
def test_the_list_equals_the_reference(
    skewed_keys: list[int], entries: int, counter_bits: int
) -> None:
    reference = SpaceSaving(entries, counter_bits)
    for key in skewed_keys[:5000]:
        reference.add(key)
    tracker = CTopK(space_saving_config(entries, counter_bits))
    tracker.add_many(skewed_keys[:5000])
    assert tracker.list() == reference.list()


@few_examples
@given(keys=KEYS, entries=st.integers(1, 12))
def test_error_is_at_most_the_stream_over_the_counters(keys: list[int], entries: int) -> None:
    tracker = CTopK(space_saving_config(entries))
    tracker.add_many(keys)
    bound = len(keys) // entries
    counts = true_counts(keys)
    listed = dict(tracker.list())
    for key, count in listed.items():
        assert counts[key] <= count <= counts[key] + bound
    for key, count in counts.items():
        assert key in listed or count <= bound
    assert sum(listed.values()) == len(keys)


def test_the_largest_summary_keeps_every_heavy_key(skewed_keys: list[int]) -> None:
    tracker = CTopK(space_saving_config(4096))
    tracker.add_many(skewed_keys)
    assert dict(tracker.list()) == true_counts(skewed_keys)
