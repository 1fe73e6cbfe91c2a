"""The access-count ratio: 1 for the best choice, never more, and only the slow tier counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.accuracy import access_count_ratio

READS = np.array([900, 800, 5, 50, 10, 40, 0, 0], dtype=np.uint64)


def test_the_true_top_is_worth_one() -> None:
    assert access_count_ratio([3, 5], READS, 2, 6) == 1.0


def test_a_worse_choice_is_worth_its_share() -> None:
    # Pages 3 and 4 were read 60 times; the two hottest of the slow tier 90 times.
    assert access_count_ratio([3, 4], READS, 2, 6) == pytest.approx(60 / 90)


def test_frames_of_the_fast_tier_and_repeats_do_not_count() -> None:
    assert access_count_ratio([0, 1, 3, 3, 99], READS, 2, 6) == 1.0


def test_nothing_named_or_nothing_read_is_no_ratio() -> None:
    assert access_count_ratio([], READS, 2, 6) is None
    assert access_count_ratio([0], READS, 2, 6) is None
    assert access_count_ratio([6], READS, 6, 2) is None


@given(
    arrays.arrays(np.uint64, 32, elements=st.integers(0, 1000)),
    st.sets(st.integers(8, 31), min_size=1),
)
def test_the_ratio_is_a_share(reads: np.ndarray, frames: set[int]) -> None:
    ratio = access_count_ratio(sorted(frames), reads, 8, 24)
    assert ratio is None or 0 <= ratio <= 1


@given(arrays.arrays(np.uint64, 24, elements=st.integers(1, 1000)))
def test_naming_everything_is_always_right(reads: np.ndarray) -> None:
    assert access_count_ratio(range(24), reads, 0, 24) == 1.0
