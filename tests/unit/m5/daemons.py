"""Settings for daemons that run over a pretend tree, by DAMON: no device, no socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiermem.m5.settings import M5Settings
from tiermem.m5.state import SavedState
from tiermem.service.config import validate
from tiermem.service.state import StateFile


def settings(root: Path, **changes: Any) -> M5Settings:
    """The defaults below `root`, with `changes`: keys or whole tables."""
    values = {
        "socket": str(root / "m5.sock"),
        "state_file": str(root / "m5.json"),
        "tracker": {"kind": "damon"},
        "promoter": {"kind": "move-pages"},
        **changes,
    }
    return validate(values, M5Settings, "test")


def saved(root: Path) -> SavedState:
    """What is in the state file."""
    state = StateFile(root / "m5.json", SavedState).load()
    assert state is not None
    return state
