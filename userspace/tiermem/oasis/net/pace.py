"""How a side's thread waits for work: a peer's messages lie in memory and ring no bell."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tiermem.native._net import ffi
from tiermem.service.config import Settings


class Pace(Settings):
    """Without work it spins for `spin_us`, then sleeps, each time longer up to `sleep_max_us`.

    What a thread that sleeps is asked for waits for so long at most. To spin is for hosts
    with a processor to spare for each such thread: elsewhere it keeps those who wait for
    its frames from running.
    """

    spin_us: int = Field(default=0, ge=0, le=10_000_000)
    sleep_max_us: int = Field(default=500, ge=10, le=100_000)


def native_pace(pace: Pace) -> Any:
    """As struct net_pace."""
    made = ffi.new("struct net_pace *")
    made.spin_ns = pace.spin_us * 1000
    made.sleep_max_ns = pace.sleep_max_us * 1000
    return made[0]
