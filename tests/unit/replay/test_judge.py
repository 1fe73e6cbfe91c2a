"""The judge's measure: reads of the chosen over reads of as many truly hottest."""

from __future__ import annotations

import numpy as np
import pytest
from tiermem.replay.judge import Coverage, exact_list

COUNTS = np.array([5, 0, 9, 1, 7], dtype=np.uint32)


@pytest.mark.parametrize(
    ("chosen", "ratio"), [([2], 1.0), ([4], 7 / 9), ([2, 4, 0], 1.0), ([1, 3], 1 / 16)]
)
def test_ratio_to_the_true_top_of_the_same_size(chosen: list[int], ratio: float) -> None:
    coverage = Coverage()
    coverage.add(COUNTS, np.array(chosen, dtype=np.uint64))
    assert coverage.ratio == pytest.approx(ratio)


def test_intervals_add_up_by_their_reads() -> None:
    coverage = Coverage()
    coverage.add(COUNTS, np.array([4], dtype=np.uint64))
    coverage.add(COUNTS * np.uint32(10), np.array([2], dtype=np.uint64))
    assert coverage.ratio == pytest.approx((7 + 90) / (9 + 90))


def test_nothing_chosen_is_no_ratio() -> None:
    coverage = Coverage()
    coverage.add(COUNTS, np.empty(0, dtype=np.uint64))
    assert coverage.ratio is None


def test_the_exact_list_is_the_true_top_hottest_first() -> None:
    listed = exact_list(COUNTS, first_frame=100, interval_ns=1)
    assert listed.pages.tolist() == [102, 104, 100, 103]
    assert listed.counts.tolist() == [9, 7, 5, 1]


def test_a_long_exact_list_is_cut_at_what_a_device_lists() -> None:
    counts = np.arange(1, 6001, dtype=np.uint32)
    listed = exact_list(counts, first_frame=0, interval_ns=1)
    assert listed.counts.tolist() == list(range(6000, 6000 - 4096, -1))
