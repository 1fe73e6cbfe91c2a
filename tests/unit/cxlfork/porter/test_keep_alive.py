"""Idle instances are kept for long, and for as little as 10 s where memory is short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.cxlfork.porter.keep_alive import Idle, KeepAliveSettings, to_end, window_s

SETTINGS = KeepAliveSettings()
SHARES = st.floats(0, 2)


def test_the_window_shrinks_from_ten_minutes_to_ten_seconds() -> None:
    assert window_s(0.0, SETTINGS) == window_s(0.70, SETTINGS) == 600
    assert window_s(0.80, SETTINGS) == pytest.approx((600 + 10) / 2)
    assert window_s(0.90, SETTINGS) == window_s(1.2, SETTINGS) == 10


@given(SHARES, SHARES, SHARES, SHARES)
def test_more_memory_in_use_never_means_a_longer_window(
    one: float, other: float, relaxed: float, pressed: float
) -> None:
    settings = KeepAliveSettings(relaxed_share=min(relaxed, 1), pressed_share=min(pressed, 1))
    less, more = sorted((one, other))
    assert 10 <= window_s(more, settings) <= window_s(less, settings) <= 600


def test_those_idle_longest_go_first_and_no_more_than_needed() -> None:
    """At 95 % the window is 10 s; with one gone, at 85 %, it is 157 s again."""
    idle = [Idle(key, idle_s, 100) for key, idle_s in ((1, 50), (2, 400), (3, 100), (4, 5))]
    assert to_end(idle, used_bytes=950, limit_bytes=1000, settings=SETTINGS) == [2]


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 100)), max_size=12),
    st.integers(1, 1000),
)
def test_what_is_left_may_stay(idle: list[tuple[float, int]], used: int) -> None:
    """Nobody goes before its window, and whoever stays is within the one that then holds."""
    waiting = [Idle(key, *one) for key, one in enumerate(idle)]
    ended = to_end(waiting, used, 1000, SETTINGS)
    left = used - sum(one.local_bytes for one in waiting if one.key in ended)
    for one in waiting:
        if one.key in ended:
            assert one.idle_s >= SETTINGS.shortest_s
        else:
            assert one.idle_s < window_s(left / 1000, SETTINGS)
