"""The time that an engine is measured in.

- `wall`: the clock on the wall.
- `processor`: what all threads of this process together have had of a processor, and time in
  which the engine is idle, as it comes. For machines on which others work: it is as if the
  engine had one processor for itself. Copies beside the computation count as if they came after
  it; waiting for SSD, and for an emulated tier, does not count.
"""

from __future__ import annotations

import time
from typing import Literal

ClockName = Literal["wall", "processor"]
CLOCKS: tuple[ClockName, ...] = ("wall", "processor")
# In idle time of the processor's clock other threads are to get something done.
_BREATH_S = 0.001


class Clock:
    """Seconds since some moment."""

    def __init__(self, name: ClockName) -> None:
        self._is_wall = name == "wall"
        self._idle_s = 0.0

    def now_s(self) -> float:
        """Now."""
        return time.monotonic() if self._is_wall else time.process_time() + self._idle_s

    def idle(self, seconds: float) -> None:
        """Nothing is to be done for so long."""
        if not self._is_wall:
            self._idle_s += seconds
        time.sleep(seconds if self._is_wall else min(seconds, _BREATH_S))
