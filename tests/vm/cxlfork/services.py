"""cxlforkd and the porter as services of a guest, given a cgroup as their units give them one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tiermem.testbed import Guest

from tests.vm.guest_python import ENVIRONMENT, SOURCE

DEVICE = "/dev/dax0.0"
FUNCTIONS = f"{SOURCE}/bench/functions"
_DELEGATED = ("--property=Delegate=yes", "--property=DelegateSubgroup=daemon")


def tiermem(guest: Guest, *words: str) -> Any:
    """`tiermem fork …` in a guest; its JSON where it prints some."""
    said = guest.check(["tiermem", "fork", *words], timeout_s=300).stdout
    return json.loads(said) if "--json" in words else said


def start(guest: Guest, unit: str, *command: str, output: str | None = None) -> None:
    """A command as a service of that name; output: a file for what it prints."""
    settings = [f"--setenv={key}={value}" for key, value in ENVIRONMENT.items()]
    if output is not None:
        settings += [f"--property=StandardOutput=append:{output}", "--property=StandardError=null"]
    words = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", *settings]
    guest.check([*words, "--property=KillMode=process", *_DELEGATED, *command], timeout_s=120)


def wait_until(guest: Guest, command: str, timeout_s: float = 300) -> None:
    """It succeeds."""
    script = f"until {command} >/dev/null 2>&1; do sleep 0.5; done"
    guest.check(["sh", "-c", script], timeout_s=timeout_s)


def start_porter(guest: Guest, functions: Mapping[str, str], *settings: str) -> None:
    """The porter, with functions of bench/functions: name to file's stem."""
    files = [f"--function={name}={FUNCTIONS}/{stem}.py" for name, stem in functions.items()]
    changes = [f"--set={one}" for one in settings]
    start(guest, "porter", "tiermem", "porter", "run", *changes, *files)
    wait_until(guest, "tiermem porter ls")
