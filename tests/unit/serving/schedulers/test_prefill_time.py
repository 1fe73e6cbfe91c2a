"""The model of how long a prefill takes: what it learns, from whom, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.serving.schedulers.prefill_time import PrefillTime

SIZES = [(32, 0), (512, 0), (64, 1024), (2048, 0), (15, 4000), (4096, 0), (300, 300), (900, 100)]


def taught(actual: Callable[[int, int], float], rounds: int = 3) -> PrefillTime:
    time = PrefillTime.assumed(2000)
    for new, cached in SIZES * rounds:
        time = time.measured(new, cached, actual(new, cached))
    return time


def on_a_cpu(new: int, cached: int) -> float:
    """About what the model SmolLM2 takes in vLLM on two cores."""
    return 0.03 + 4e-4 * new + 6e-8 * new * (cached + new / 2)


def test_before_any_measurement_it_is_what_was_assumed() -> None:
    time = PrefillTime.assumed(2000)
    assert time.seconds(1000) == time.seconds(1000, 500) == pytest.approx(0.5)
    assert time.measured_count == 0


def test_it_finds_the_figures_of_what_it_is_taught() -> None:
    time = taught(on_a_cpu)
    assert time.measured_count == 3 * len(SIZES)
    for new, cached in [(100, 0), (1500, 0), (40, 3000), (6000, 0)]:
        assert time.seconds(new, cached) == pytest.approx(on_a_cpu(new, cached), rel=0.02)


def test_of_one_measurement_it_learns_the_speed() -> None:
    assert PrefillTime.assumed(2000).measured(500, 0, 5.0).seconds(500) == pytest.approx(
        5.0, rel=0.05
    )


def test_slow_prefills_at_the_beginning_do_not_make_all_alike() -> None:
    """The first one takes long for other reasons, and is a short one."""
    time = PrefillTime.assumed(2000).measured(368, 0, 9.0)
    assert time.seconds(64, 352) < 0.6 * time.seconds(384)


def test_it_forgets_how_fast_the_machine_was() -> None:
    time = taught(on_a_cpu, rounds=10)
    for new, cached in SIZES * 20:
        time = time.measured(new, cached, 3 * on_a_cpu(new, cached))
    assert time.seconds(1000) == pytest.approx(3 * on_a_cpu(1000, 0), rel=0.1)


@given(
    st.lists(
        st.tuples(st.integers(1, 10000), st.integers(0, 10000), st.floats(0, 100)), max_size=12
    )
)
def test_whatever_is_measured_more_tokens_never_take_less(
    measured: list[tuple[int, int, float]],
) -> None:
    time = PrefillTime.assumed(2000)
    for new, cached, seconds in measured:
        time = time.measured(new, cached, seconds)
    assert min(time.start_s, time.each_s, time.pair_s) >= 0
    assert time.seconds(500) <= time.seconds(1000) <= time.seconds(1000, 500)
    assert time.seconds(1000) < inf


@pytest.mark.parametrize(
    ("new", "cached", "seconds"),
    [(0, 0, 1.0), (1, -1, 1.0), (1, 0, -1.0), (1, 0, inf), (1, 0, nan)],
)
def test_what_cannot_have_been_is_refused(new: int, cached: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="some token of each is new"):
        PrefillTime.assumed(2000).measured(new, cached, seconds)


def test_those_that_ran_together_began_once() -> None:
    """From runs of one and of several, both what each token takes and the beginning are learnt."""
    time = PrefillTime.assumed(5000)
    for _ in range(30):
        for count in (1, 4):
            time = time.measured_together([(40, 1000)] * count, 0.03 + 0.001 * 40 * count)
        time = time.measured(1000, 0, 1.03)
    assert time.start_s == pytest.approx(0.03, rel=0.1)
    assert time.each_s == pytest.approx(0.001, rel=0.1)
