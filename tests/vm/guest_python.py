"""Run Python files of the checkout inside a guest, as `tiermem` itself runs there."""

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

_PYTEST = (
    *("python3", "-m", "pytest", "-q", "--tb=short", "-c", "/dev/null", "-p", "no:cacheprovider"),
    "--import-mode=importlib",
)


def run_cases(guest: Guest, folder: str, *files: str, timeout_s: float = 800) -> None:
    """Run files of a folder of the checkout under the guest's pytest; its report is the
    failure."""
    cases = f"{SOURCE}/{folder}"
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{ENVIRONMENT['PYTHONPATH']}:{cases}"}
    command = [*_PYTEST, f"--rootdir={cases}", f"--confcutdir={cases}"]
    command += [f"{cases}/{file}" for file in files]
    done = guest.exec(command, env=environment, timeout_s=timeout_s)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"


def run_json(guest: Guest, script: str, *arguments: str, timeout_s: float = 600) -> Any:
    """What the file `script` (a path in the checkout) prints, as JSON."""
    command = ["python3", f"{SOURCE}/{script}", *arguments]
    return json.loads(guest.check(command, env=ENVIRONMENT, timeout_s=timeout_s).stdout)
