"""Hot lists and observations, written down shortly for tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tiermem.m5.hotlist import HotList, Unit
from tiermem.m5.observation import MoveCosts, Observation, TierLoad

MS = 1_000_000
S = 1_000_000_000
ROUND_NS = 100 * MS


def pages(counts: Mapping[int, int]) -> HotList:
    """A page list from {page number: reads}."""
    return _list(Unit.PAGE, 4096, counts)


def lines(counts: Mapping[int, int]) -> HotList:
    """A line list from {line number: reads}; page p has lines 64p to 64p + 63."""
    return _list(Unit.LINE, 64, counts)


def _list(unit: Unit, size: int, counts: Mapping[int, int]) -> HotList:
    addresses = np.array([number * size for number in counts], dtype=np.uint64)
    return HotList(unit, addresses, np.array(list(counts.values()), dtype=np.uint64), ROUND_NS)


def seen(
    now_ns: int = 0,
    *,
    lists: tuple[HotList, ...] = (),
    fast_page_reads_per_s: float | None = 0.0,
    slow_page_reads_per_s: float | None = 0.0,
    **other: int | MoveCosts,
) -> Observation:
    """An observation of two tiers of 1 GiB each, read evenly at these rates a page."""
    return Observation(
        now_ns=now_ns,
        lists=lists,
        slow=load(slow_page_reads_per_s),
        fast=load(fast_page_reads_per_s),
        **other,  # type: ignore[arg-type]
    )


def load(page_reads_per_s: float | None) -> TierLoad:
    """1 GiB, every page of which gets that many line reads a second."""
    active = 1 << 30
    if page_reads_per_s is None:
        return TierLoad(None, active)
    return TierLoad(page_reads_per_s * 64 * active / 4096, active)
