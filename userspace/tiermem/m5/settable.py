"""Which keys of m5.toml may change while the daemon runs.

Apart from the model of the config, since the command line's help names them and need not
import what the daemon computes with.
"""

from __future__ import annotations

SETTABLE = (
    "dry_run",
    "log_level",
    "monitor",
    "nominator",
    "elector",
    "policy.options",
    "promoter.rate_limit_MBps",
    "promoter.burst_s",
    "demotion.swappiness",
    "scope",
    "kernel.keep_at_exit",
)
"""Keys (and whole tables) that `tiermem m5 set` may change."""


def is_settable(key: str) -> bool:
    """Whether the dotted `key` is, or lies under, one of SETTABLE."""
    return any(key == allowed or key.startswith(allowed + ".") for allowed in SETTABLE)
