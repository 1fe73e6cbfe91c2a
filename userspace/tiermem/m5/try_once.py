"""`tiermem m5 run --once`: as many rounds as a policy needs to judge, without a service."""

from __future__ import annotations

import time
from typing import Any

from tiermem.m5.daemon import Daemon
from tiermem.m5.settings import M5Settings
from tiermem.m5.status import picture


def try_once(settings: M5Settings) -> dict[str, Any]:
    """Make the rounds, clean up, and return the daemon's picture of them."""
    daemon = Daemon(settings)
    daemon.start()
    try:
        pause_s = 1.0 / settings.elector.base_hz
        for _ in range(settings.nominator.min_visits + 1):
            time.sleep(pause_s)
            pause_s = daemon.step()
        return picture(daemon)
    finally:
        daemon.stop()
