"""What `tiermem doctor` looks at of CXLfork: whether it is used here, its pool, its daemon."""

from __future__ import annotations

from pathlib import Path

from tiermem.cxlfork.settings import ForkSettings
from tiermem.errors import TiermemError
from tiermem.layer.pool import open_pool
from tiermem.service.client import LocalClient
from tiermem.service.config import load
from tiermem.service.doctor import ForkFacts

ENABLED = Path("/etc/systemd/system/multi-user.target.wants/tiermem-fork.service")
_ANSWER_S = 5.0


def read_fork_facts(config: Path, enabled: Path = ENABLED) -> ForkFacts | None:
    """None where it is not used: not enabled, no daemon's socket, no pool."""
    try:
        settings = load(config, ForkSettings) if config.exists() else ForkSettings()
    except TiermemError as error:
        settings = ForkSettings()
        config_trouble = str(error)
    else:
        config_trouble = ""
    mode = settings.pool.stat().st_mode if settings.pool.exists() else None
    pool_trouble = _pool_trouble(settings.pool)
    if pool_trouble and not enabled.exists() and not settings.socket.exists():
        return None
    daemon_trouble = config_trouble or _daemon_trouble(settings.socket)
    return ForkFacts(settings.pool, mode, pool_trouble, daemon_trouble)


def _pool_trouble(path: Path) -> str:
    try:
        open_pool(path).close()
    except TiermemError as error:
        return str(error)
    return ""


def _daemon_trouble(socket: Path) -> str:
    try:
        client = LocalClient(socket, timeout_s=_ANSWER_S)
        return str(client.get("/v1/status")["trouble"])
    except TiermemError as error:
        return str(error)
