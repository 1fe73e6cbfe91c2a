"""Run a Python file of the checkout inside a guest, as `tiermem` itself runs there."""

from __future__ import annotations

import json
from typing import Any

from tiermem.testbed import Guest

SOURCE = "/opt/tiermem/src"
ENVIRONMENT = {
    "PYTHONPATH": f"{SOURCE}/userspace",
    "TIERMEM_NATIVE_PATH": "/opt/tiermem/artifacts/native",
    "PYTHONPYCACHEPREFIX": "/var/cache/tiermem-pycache",
}


def run_json(guest: Guest, script: str, *arguments: str, timeout_s: float = 600) -> Any:
    """What the file `script` (a path in the checkout) prints, as JSON."""
    command = ["python3", f"{SOURCE}/{script}", *arguments]
    return json.loads(guest.check(command, env=ENVIRONMENT, timeout_s=timeout_s).stdout)
