"""Counters of links that come and go, as sums that never go back."""

from __future__ import annotations

from dataclasses import astuple

from tiermem.oasis.net.counters import Counters

ZERO = Counters(*(0 for _ in Counters.__dataclass_fields__))


def plus(one: Counters, other: Counters) -> Counters:
    """Their sum, each by itself."""
    return Counters(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))
