"""What scripts in a guest that speak with oasisd have in common."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.service.client import LocalClient

CLIENT = LocalClient(Path("/run/tiermem/oasis.sock"), timeout_s=60)
PATIENCE_S = 240


def run(line: str) -> str:
    """What a command, words with blanks between, prints."""
    return subprocess.run(line.split(), check=True, capture_output=True, text=True).stdout


def until(is_so: Callable[[], Any], what: str) -> Any:
    """The first true answer."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(TiermemError):
            if answer := is_so():
                return answer
        time.sleep(0.1)
    raise SystemExit(f"{what}: not after {PATIENCE_S} s; {_said()}")


def _said() -> str:
    with contextlib.suppress(TiermemError):
        return json.dumps([CLIENT.get("/v1/ls"), CLIENT.get("/v1/status")])
    return "the daemon does not answer"
