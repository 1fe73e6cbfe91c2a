"""The config of cxlforkd as a model: fork.toml, every key with its range and default.

userspace/etc/fork.toml shows each key with what it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from tiermem.service.config import Settings
from tiermem.service.state import STATE_DIR

PolicyName = Literal["mow", "moa", "ht"]


class ForkSettings(Settings):
    """The whole of fork.toml."""

    socket: Path = Path("/run/tiermem/fork.sock")
    state_file: Path = STATE_DIR / "fork.jsonl"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    pool: Path = Path("/dev/dax0.0")
    host: int = Field(default=0, ge=0, le=63)
    policy: PolicyName = "mow"
    ghosts: int = Field(default=2, ge=0, le=1024)
    clones_max: int = Field(default=1024, ge=1, le=32768)
    verify_ahead: bool = True
    scan_s: float = Field(default=1.0, ge=0.05, le=60)
    end_clones_at_exit: bool = False
