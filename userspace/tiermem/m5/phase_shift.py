"""Tells when a program has entered another phase, from the slow tier's share of the reads.

A policy that has settled finds most reads in fast memory. When the hot set
moves, the slow tier's share jumps at once, long before single pages stand out.
"""

from __future__ import annotations

# Of the running mean and deviation, the share that a new look gets.
_NEW = 0.1
_LOOKS_FIRST = 5
# A jump stands out from the usual spread, and is large enough to matter.
_DEVIATIONS = 4.0
_LEAST = 0.08


class ShiftDetector:
    """Fed with one share (0 to 1) a look; remembers what is usual."""

    def __init__(self) -> None:
        self._looks = 0
        self._mean = 0.0
        self._deviation = 0.0

    def has_come(self, share: float) -> bool:
        """Whether this look is far above the usual; what is usual is then learnt anew."""
        self._looks += 1
        excess = share - self._mean
        if self._looks > _LOOKS_FIRST and excess > max(_LEAST, _DEVIATIONS * self._deviation):
            self._looks, self._mean, self._deviation = 1, share, 0.0
            return True
        weight = max(_NEW, 1 / self._looks)
        self._mean += weight * excess
        self._deviation += weight * (abs(excess) - self._deviation)
        return False
