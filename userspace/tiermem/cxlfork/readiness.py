"""What `tiermem doctor` looks at of CXLfork: whether it is used here, its pool, its daemon."""

from __future__ import annotations

from pathlib import Path

from tiermem.cxlfork.settings import ForkSettings
from tiermem.service.doctor import ForkFacts
from tiermem.service.doctor.troubles import daemon_trouble, pool_trouble, read_config

ENABLED = Path("/etc/systemd/system/multi-user.target.wants/tiermem-fork.service")


def read_fork_facts(config: Path, enabled: Path = ENABLED) -> ForkFacts | None:
    """None where it is not used: not enabled, no daemon's socket, no pool."""
    settings, config_trouble = read_config(config, ForkSettings)
    mode = settings.pool.stat().st_mode if settings.pool.exists() else None
    trouble = pool_trouble(settings.pool)
    if trouble and not enabled.exists() and not settings.socket.exists():
        return None
    return ForkFacts(
        settings.pool, mode, trouble, config_trouble or daemon_trouble(settings.socket)
    )
