"""When a jump of the slow tier's share counts as a change of phase."""

from __future__ import annotations

import numpy as np
from tiermem.m5.phase_shift import ShiftDetector


def shifts(shares: list[float]) -> list[int]:
    detector = ShiftDetector()
    return [look for look, share in enumerate(shares) if detector.has_come(share)]


def test_a_jump_out_of_a_calm_share_is_seen_once_and_at_once() -> None:
    assert shifts([0.1] * 20 + [0.6] * 20) == [20]


def test_a_fall_is_none_the_policy_has_done_its_work() -> None:
    assert shifts([0.6] * 20 + [0.1] * 20) == []


def test_a_share_that_always_swings_is_calm_in_its_way() -> None:
    shares = np.random.default_rng(3).normal(0.4, 0.1, 500).clip(0, 1)
    assert len(shifts(shares.tolist())) <= 2


def test_a_drift_is_none() -> None:
    assert shifts([0.1 + step / 1000 for step in range(500)]) == []


def test_nothing_is_said_before_there_is_a_usual() -> None:
    assert shifts([0.1, 0.9, 0.1, 0.9]) == []
