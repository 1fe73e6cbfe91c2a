"""What is wrong with a config, a pool or a daemon, in one line; empty where nothing is."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from tiermem.errors import TiermemError
from tiermem.layer.pool import open_pool
from tiermem.service.client import LocalClient
from tiermem.service.config import Settings, load

SettingsT = TypeVar("SettingsT", bound=Settings)
_ANSWER_S = 5.0


def read_config(config: Path, model: type[SettingsT]) -> tuple[SettingsT, str]:
    """Its settings, or the defaults where it is not there or wrong; and what is wrong with it."""
    try:
        return load(config, model) if config.exists() else model(), ""
    except TiermemError as error:
        return model(), str(error)


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
