"""The porter's config as a model: porter.toml, and the functions that it serves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from tiermem.cxlfork.porter.keep_alive import KeepAliveSettings
from tiermem.cxlfork.porter.tiering import TieringSettings
from tiermem.service.config import Settings

CHECKPOINT_AFTER = 16
"""Calls after which a function is warm, its code compiled (ASPLOS 2025)."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class FunctionSettings(Settings):
    """[functions.NAME]: its file, and what is promised to its callers."""

    file: Path
    objective_ms: float = Field(default=100.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0, le=3600)
    instances_max: int = Field(default=64, ge=1, le=4096)


class PorterSettings(Settings):
    """The whole of porter.toml."""

    listen: str = "127.0.0.1:8470"
    fork_socket: Path = Path("/run/tiermem/fork.sock")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    start: Literal["restore", "cold", "criu"] = "restore"
    criu_folder: Path = Path("/var/lib/tiermem/criu")
    checkpoint_after: int = Field(default=CHECKPOINT_AFTER, ge=1, le=1_000_000)
    relearn_s: float = Field(default=600.0, ge=1)
    memory_MiB: int = Field(default=1024, ge=16)  # noqa: N815
    queue_max: int = Field(default=1024, ge=1)
    peers: tuple[str, ...] = ()
    keep_alive: KeepAliveSettings = Field(default_factory=KeepAliveSettings)
    tiering: TieringSettings = Field(default_factory=TieringSettings)
    functions: dict[str, FunctionSettings] = Field(default_factory=dict)

    @field_validator("functions")
    @classmethod
    def _names(cls, functions: dict[str, FunctionSettings]) -> dict[str, FunctionSettings]:
        for name in functions:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r}: a function's name is 1 to 63 letters, digits, '.', '_' and '-'"
                )
        return functions

    @property
    def memory_bytes(self) -> int:
        """The local memory that all instances together may take."""
        return self.memory_MiB << 20
