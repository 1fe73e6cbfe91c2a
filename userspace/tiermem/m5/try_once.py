"""`tiermem m5 run --once`: as many rounds as a policy needs to judge, without a service."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.layer.sysfs import Tree
from tiermem.m5.daemon import Daemon
from tiermem.m5.settings import M5Settings
from tiermem.m5.status import picture
from tiermem.service.socket_file import ClaimedError, claim


def try_once(settings: M5Settings, tree: Tree | None = None) -> dict[str, Any]:
    """Make the rounds, clean up, and return the daemon's picture of them."""
    with _alone(settings.socket):
        daemon = Daemon(settings, tree, is_trial=settings.dry_run)
        daemon.start()
        try:
            pause_s = 1.0 / settings.elector.base_hz
            for _ in range(settings.nominator.min_visits + 1):
                time.sleep(pause_s)
                pause_s = daemon.step()
            return picture(daemon)
        finally:
            daemon.stop()


@contextmanager
def _alone(socket: Path) -> Iterator[None]:
    """Keep services away meanwhile: two would give each other's switches back."""
    try:
        lock_fd = claim(socket)
    except ClaimedError as error:
        raise TiermemError(
            f"{socket}: a daemon is running here: `tiermem m5 status` shows what it decides, "
            "`tiermem m5 set dry_run true` has it move nothing; stop it to try by hand"
        ) from error
    try:
        yield
    finally:
        os.close(lock_fd)
