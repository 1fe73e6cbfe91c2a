"""The promoter without a kernel module: when it looks for owners, what it says of strangers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiermem.layer.promote_device import PromoteCode
from tiermem.layer.sysfs import Tree
from tiermem.m5 import promote_by_address
from tiermem.m5.promote_by_address import AddressPromoter

FRAMES = np.array([17, 4], dtype=np.uint64)


class Clock:
    """Stands in for `time`: indexing takes `cost_s` of CPU time."""

    def __init__(self, cost_s: float) -> None:
        self.now_s = 1000.0
        self.cpu_s = 0.0
        self.cost_s = cost_s
        self.looked = 0

    def monotonic(self) -> float:
        return self.now_s

    def thread_time(self) -> float:
        return self.cpu_s

    def thread_time_ns(self) -> int:
        return round(self.cpu_s * 1e9)

    def pids(self) -> list[int]:
        """What the promoter asks when it indexes."""
        self.looked += 1
        self.cpu_s += self.cost_s
        return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(cost_s=0.5)
    monkeypatch.setattr(promote_by_address, "time", clock)
    return clock


@pytest.fixture
def promoter(clock: Clock, tmp_path: Path) -> AddressPromoter:
    return AddressPromoter(Tree(sysfs=tmp_path, proc=tmp_path), clock.pids)


def codes(promoter: AddressPromoter) -> list[PromoteCode]:
    return [PromoteCode(code) for code in promoter.promote(FRAMES, 0).results]


def test_frames_nobody_maps_are_said_to_be_so(promoter: AddressPromoter) -> None:
    assert codes(promoter) == [PromoteCode.NOT_MAPPED] * 2


def test_an_old_index_does_not_judge_frames_it_does_not_know(
    promoter: AddressPromoter, clock: Clock
) -> None:
    codes(promoter)
    clock.now_s += 10
    assert codes(promoter) == [PromoteCode.NOT_TRIED] * 2
    assert clock.looked == 1


def test_indexing_takes_a_hundredth_of_the_time_at_most(
    promoter: AddressPromoter, clock: Clock
) -> None:
    start_s = clock.now_s
    while clock.now_s < start_s + 1000:
        codes(promoter)
        clock.now_s += 1
    assert clock.cpu_s <= 0.01 * 1000 + clock.cost_s
    assert clock.looked > 10


def test_what_indexing_takes_is_no_part_of_what_moves_cost(promoter: AddressPromoter) -> None:
    assert promoter.promote(FRAMES, 0).spent_ns == 0
