"""Tells systemd how the daemon is: ready, alive, what it does, stopping.

Outside systemd (no NOTIFY_SOCKET) every call does nothing. The watchdog is fed
from the daemon's own event loop, so a loop that hangs is restarted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import sdnotify


class Notifier:
    """The sd_notify(3) messages of one daemon."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._notifier = sdnotify.SystemdNotifier() if environ.get("NOTIFY_SOCKET") else None
        self.watchdog_interval_s = _watchdog_interval_s(environ)

    def ready(self, status: str = "") -> None:
        """Started, and able to answer."""
        self._send("READY=1", status)

    def status(self, status: str) -> None:
        """One line that `systemctl status` shows."""
        self._send("", status)

    def reloading(self) -> None:
        """The config is being read again; `ready` ends it."""
        self._send("RELOADING=1", "")

    def stopping(self, status: str = "") -> None:
        """About to leave the system as it was found, and end."""
        self._send("STOPPING=1", status)

    def alive(self) -> None:
        """Feed the watchdog once."""
        self._send("WATCHDOG=1", "")

    async def feed_watchdog(self) -> None:
        """Feed the watchdog at half its time, for ever; returns at once where there is none."""
        while self.watchdog_interval_s is not None:
            self.alive()
            await asyncio.sleep(self.watchdog_interval_s / 2)

    def _send(self, state: str, status: str) -> None:
        if self._notifier is None:
            return
        lines = [state] if state else []
        if status:
            lines.append(f"STATUS={' '.join(status.split())}")
        self._notifier.notify("\n".join(lines))


def _watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """WatchdogSec of the unit, or None: no watchdog, or one meant for another process."""
    try:
        interval_us = int(environ.get("WATCHDOG_USEC", "0"))
        pid = int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return interval_us / 1e6 if interval_us > 0 and pid == os.getpid() else None
