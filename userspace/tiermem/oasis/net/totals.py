"""Counters of links that come and go, as sums that never go back."""

from __future__ import annotations

from dataclasses import astuple

from tiermem.oasis.net.counters import Counters

ZERO = Counters(*(0 for _ in Counters.__dataclass_fields__))


def plus(one: Counters, other: Counters) -> Counters:
    """Their sum, each by itself."""
    return Counters(*(a + b for a, b in zip(astuple(one), astuple(other), strict=True)))


class Load:
    """Bytes a second of what is carried in the busier direction."""

    def __init__(self) -> None:
        self._at_s: float | None = None
        self._tx = self._rx = 0
        self.measured_Bps = 0

    def note(self, counters: Counters, now_s: float) -> None:
        """What all links of a NIC have carried by now. Less than a twentieth of a second
        after the last note it is passed over: that says little."""
        if self._at_s is not None:
            elapsed_s = now_s - self._at_s
            if elapsed_s < 0.05:
                return
            busier = max(counters.tx_bytes - self._tx, counters.rx_bytes - self._rx)
            self.measured_Bps = max(0, int(busier / elapsed_s))
        self._at_s, self._tx, self._rx = now_s, counters.tx_bytes, counters.rx_bytes
