"""What the simulations of pods have in common: how large they are, and means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy.special import stdtrit

SIZES = (2, 4, 8, 16, 32)
"""Hosts of a pod."""
HOSTS = 64
HEADLINE = 8
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, and how far the true one may be from it either way."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.1%} ± {self.half_width:.1%}"


def estimate(values: Sequence[float]) -> Estimate:
    """With Student's t, for few seeds; of one alone nothing is known about the error."""
    if len(values) < 2:
        return Estimate(float(np.mean(values)), float("inf"))
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    width = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * error
    return Estimate(float(np.mean(values)), width)


def by_size(found: Sequence[dict[int, float]]) -> dict[int, Estimate]:
    """Of savings by hosts of a pod, one for each seed."""
    return {size: estimate([one[size] for one in found]) for size in found[0]}


def right_aligned(title: str, caption: str, columns: Sequence[str]) -> Table:
    """Without rows."""
    made = Table(title=title, caption=caption)
    for column in columns:
        made.add_column(column, justify="right")
    return made
