"""A tier that this host does not have: a stated bandwidth and latency, kept by the copies.

`copy_in` and `copy_out` of an arena with an `Emulation` take as long as they would at
these figures, or longer where the real memory is slower; see native/paced_copy.h.
Access through numpy, torch or a pointer is as fast as the memory really is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tiermem.errors import TiermemError
from tiermem.native._arena import ffi

_LEAST_BPS, _MOST_BPS = 10**6, 10**13
_LATENCY_MAX_NS = 10**9


@dataclass(frozen=True, slots=True)
class Emulation:
    """What is stated: bytes a second of all copies together, and ns of each copy."""

    bandwidth_Bps: int  # noqa: N815
    latency_ns: int

    def __post_init__(self) -> None:
        if not _LEAST_BPS <= self.bandwidth_Bps <= _MOST_BPS:
            raise TiermemError(
                f"bandwidth_Bps = {self.bandwidth_Bps}: must be from {_LEAST_BPS} to {_MOST_BPS}"
            )
        if not 0 <= self.latency_ns <= _LATENCY_MAX_NS:
            raise TiermemError(
                f"latency_ns = {self.latency_ns}: must be from 0 to {_LATENCY_MAX_NS}"
            )

    def new_pace(self) -> Any:
        """A schedule that nothing is on yet, for `paced_copy`."""
        return ffi.new(
            "struct copy_pace *",
            {"bytes_per_s": self.bandwidth_Bps, "latency_ns": self.latency_ns},
        )
