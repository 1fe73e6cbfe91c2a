"""Log2 histograms: what the C side counts, read back as figures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.probes.histogram import LATENCY, SLOTS, Histogram

TIMES_NS = st.lists(st.integers(min_value=0, max_value=2**50), min_size=1, max_size=200)


def histogram_of(times_ns: list[int]) -> Histogram:
    slots = np.zeros(SLOTS, dtype=np.uint64)
    for ns in times_ns:
        slots[max(ns, 1).bit_length() - 1] += np.uint64(1)
    return Histogram(slots, sum(times_ns))


@given(TIMES_NS)
def test_count_and_mean_are_exact(times_ns: list[int]) -> None:
    histogram = histogram_of(times_ns)
    assert histogram.count == len(times_ns)
    assert histogram.mean_ns == pytest.approx(sum(times_ns) / len(times_ns))


@given(TIMES_NS, st.floats(min_value=0, max_value=1))
def test_a_quantile_lies_in_the_slot_of_a_true_one(times_ns: list[int], fraction: float) -> None:
    ordered = sorted(times_ns)
    rank = fraction * len(ordered)
    below = ordered[max(int(np.ceil(rank)) - 1, 0)]
    above = ordered[min(int(np.floor(rank)), len(ordered) - 1)]
    quantile = histogram_of(times_ns).quantile_ns(fraction)
    assert quantile <= 2 ** max(above, 1).bit_length()
    assert quantile >= (0 if below <= 1 else 2 ** (below.bit_length() - 1))


@given(TIMES_NS)
def test_quantiles_rise_with_the_fraction(times_ns: list[int]) -> None:
    histogram = histogram_of(times_ns)
    quantiles = [histogram.quantile_ns(fraction) for fraction in np.linspace(0, 1, 21)]
    assert quantiles == sorted(quantiles)


@given(TIMES_NS, TIMES_NS)
def test_minus_undoes_plus(first_ns: list[int], second_ns: list[int]) -> None:
    first, second = histogram_of(first_ns), histogram_of(second_ns)
    difference = first.plus(second).minus(first)
    assert difference.slots.tolist() == second.slots.tolist()
    assert difference.total_ns == second.total_ns


def test_an_empty_histogram_has_zero_figures_and_no_slots() -> None:
    figures = Histogram.empty().as_dict()
    assert figures["count"] == figures["mean_ns"] == figures["p99_ns"] == 0
    assert figures["slots_from_ns"] == {}


def test_a_fraction_outside_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed is 0 to 1"):
        Histogram.empty().quantile_ns(99)


def test_json_names_slots_by_their_lower_bound() -> None:
    assert histogram_of([0, 1, 1500, 1600]).as_dict()["slots_from_ns"] == {"0": 2, "1024": 2}


def test_a_leaf_of_the_c_struct_is_read_as_it_lies_in_memory() -> None:
    words = np.zeros(1 + SLOTS, dtype="<u8")
    words[0], words[1 + 10] = 3_000, 2
    histogram = Histogram.of_leaf(words.view(LATENCY)[0])
    assert (histogram.total_ns, histogram.count) == (3_000, 2)
    assert 1024 <= histogram.quantile_ns(0.5) <= 2048
