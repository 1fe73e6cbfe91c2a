"""What is wrong with a pool or a daemon, in one line; empty where nothing is."""

from __future__ import annotations

from pathlib import Path

from tiermem.errors import TiermemError
from tiermem.layer.pool import open_pool
from tiermem.service.client import LocalClient

_ANSWER_S = 5.0


def pool_trouble(path: Path) -> str:
    """Whether it opens."""
    try:
        open_pool(path).close()
    except TiermemError as error:
        return str(error)
    return ""


def daemon_trouble(socket: Path) -> str:
    """Whether it answers, and what it says of itself."""
    try:
        client = LocalClient(socket, timeout_s=_ANSWER_S)
        return str(client.get("/v1/status")["trouble"])
    except TiermemError as error:
        return str(error)
