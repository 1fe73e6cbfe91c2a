"""Modelled time as a program in the guest reads it, and the model's switch.

Under icount and on one vCPU: the guest's clock, less a ns for each instruction counted,
plus busy time (docs/modelled-time.md).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from tiermem.layer.tracker_config import DeviceConfig, TierRange, TrackerConfig
from tiermem.layer.tracker_device import TrackerDevice


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in both clocks; only differences mean something."""

    modelled_ns: int
    guest_ns: int

    def since(self, before: Moment) -> Moment:
        """The time from then to now."""
        return Moment(self.modelled_ns - before.modelled_ns, self.guest_ns - before.guest_ns)


class ModelledClock:
    """The tracker device's clock page. The clock stands while the model is not armed."""

    def __init__(self) -> None:
        self._device = TrackerDevice()
        self._page = self._device.clock()

    def now(self) -> Moment:
        """This instant."""
        # A reading brings the page up to date for the next.
        self._page.vcpu_times(0)
        guest_ns = time.monotonic_ns()
        instructions, busy_ns = self._page.vcpu_times(0)
        return Moment(guest_ns + busy_ns - instructions, guest_ns)

    @contextmanager
    def armed(self, slow_base: int, slow_bytes: int) -> Iterator[None]:
        """Let the model work in the block; memory in the range given is tier 1."""
        off = TrackerConfig(enabled=False)
        slow = TierRange(slow_base, slow_bytes, tier=1)
        self._device.set_config(DeviceConfig(slow_base, slow_bytes, (slow,), hpt=off, hwt=off))
        self._device.arm()
        try:
            yield
        finally:
            self._device.disarm()

    def close(self) -> None:
        """Give the device back."""
        self._page.close()
        self._device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
