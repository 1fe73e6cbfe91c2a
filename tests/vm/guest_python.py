"""Run Python files of the checkout inside a guest, as `tiermem` itself runs there."""

from __future__ import annotations

import json
from typing import Any

from tiermem.testbed import Guest
from tiermem.testbed.guest_python import SOURCE, python_environment

ENVIRONMENT = python_environment()
# A test that hangs shows where each of its threads is, long before the run is out of time.
PYTEST = (
    *("python3", "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"),
    *("-o", "faulthandler_timeout=300"),
)


def run_cases(guest: Guest, folder: str, *files: str, timeout_s: float = 800) -> None:
    """Run files of a folder of the checkout under the guest's pytest; its report is the
    failure."""
    cases = f"{SOURCE}/{folder}"
    command = [*PYTEST, "-c", "/dev/null", "--import-mode=importlib"]
    command += [f"--rootdir={cases}", f"--confcutdir={cases}"]
    command += [f"{cases}/{file}" for file in files]
    done = guest.exec(command, env=python_environment(cases), timeout_s=timeout_s)
    assert done.status == 0, f"guest {guest.name}:\n{done.stdout}\n{done.stderr}"


def run_json(guest: Guest, script: str, *arguments: str, timeout_s: float = 600) -> Any:
    """What the file `script` (a path in the checkout) prints, as JSON."""
    command = ["python3", f"{SOURCE}/{script}", *arguments]
    return json.loads(guest.check(command, env=ENVIRONMENT, timeout_s=timeout_s).stdout)
