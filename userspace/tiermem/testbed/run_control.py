"""When a guest's processors run: always, or only while somebody waits for it."""

from __future__ import annotations

import contextlib
import threading

from tiermem.testbed.channel import Channel
from tiermem.testbed.errors import BootError


class RunControl:
    """Stops and continues a guest through QEMU's monitor; entered around every command.

    only_in_use: the guest runs only while a command does. Under icount an idle
    guest leaps from timer to timer and never sleeps, so it would burn a core of the
    host, and its clock would race, between commands.
    """

    def __init__(self, monitor: Channel, *, only_in_use: bool) -> None:
        self._monitor = monitor
        self._only_in_use = only_in_use
        self._lock = threading.Lock()
        self._users = 0
        self._held = False
        self._runs: bool | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            self._apply()

    def __exit__(self, *_: object) -> None:
        with self._lock, contextlib.suppress(BootError):
            self._users -= 1
            self._apply()

    def hold(self) -> None:
        """Stop the guest, whoever uses it, until `release`."""
        with self._lock:
            self._held = True
            self._apply()

    def release(self) -> None:
        """Undo `hold`."""
        with self._lock:
            self._held = False
            self._apply()

    def _apply(self) -> None:
        runs = not self._held and (self._users > 0 or not self._only_in_use)
        if runs is not self._runs:
            self._monitor.execute("cont" if runs else "stop")
            self._runs = runs
