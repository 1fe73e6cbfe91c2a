"""cxlforkd and the porter as services of a guest, given a cgroup as their units give them one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tiermem.testbed import Guest
from tiermem.testbed.guest_python import SOURCE

from tests.vm.guest_python import ENVIRONMENT

DEVICE = "/dev/dax0.0"
LEASE_S = 60
"""Of pools: an emulated guest on a busy host does not get to run for longer than real hosts are
silent, and its daemons would end."""
FUNCTIONS = f"{SOURCE}/bench/functions"
PORTER_CONFIG = "/run/porter.toml"
PATIENCE_S = 300
"""An emulated guest on a busy host is slow."""
_DELEGATED = ("--property=Delegate=yes", "--property=DelegateSubgroup=daemon")


def tiermem(guest: Guest, *words: str) -> Any:
    """`tiermem fork …` in a guest; its JSON where it prints some."""
    said = guest.check(["tiermem", "fork", *words], timeout_s=PATIENCE_S).stdout
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


def wait_for_service(guest: Guest, unit: str, test: str) -> None:
    """Until the shell command succeeds; what the unit has said where it ends before. (The
    command line would ask more nicely, and start Python each time, beside a daemon that does.)"""
    ended = f"{{ journalctl -n 50 -o cat -u {unit} >&2; exit 1; }}"
    script = f"until {test}; do systemctl is-active --quiet {unit} || {ended}; sleep 0.3; done"
    guest.check(["bash", "-c", script], timeout_s=PATIENCE_S)


def start_fork_daemon(guest: Guest, *settings: str) -> None:
    """cxlforkd; `wait_for_fork_daemon` waits until it answers."""
    given = [f"--set={one}" for one in settings]
    start(guest, "fork", "tiermem", "fork", "run", *given)


def create_pool(guest: Guest, hosts: int, *options: str) -> None:
    """Of all that `DEVICE` has."""
    create = ["tiermem", "pool", "create", DEVICE, "--hosts", str(hosts), "--lease", str(LEASE_S)]
    guest.check([*create, "--force", *options], timeout_s=PATIENCE_S)


def wait_for_fork_daemon(guest: Guest) -> None:
    """See above."""
    wait_for_service(guest, "fork", "test -S /run/tiermem/fork-express.sock")


def start_porter(
    guest: Guest, functions: Mapping[str, str], *settings: str, instances_max: int = 64
) -> None:
    """The porter, with functions of bench/functions: name to file's stem."""
    limits = f"timeout_s = {PATIENCE_S}\ninstances_max = {instances_max}"
    tables = [
        f'[functions.{name}]\nfile = "{FUNCTIONS}/{stem}.py"\n{limits}\n'
        for name, stem in functions.items()
    ]
    guest.check(["sh", "-c", f"cat > {PORTER_CONFIG} <<'END'\n{''.join(tables)}END"])
    changes = [f"--set={one}" for one in settings]
    start(guest, "porter", "tiermem", "porter", "run", "--config", PORTER_CONFIG, *changes)
    listens = "(exec 3<> /dev/tcp/127.0.0.1/8470) 2> /dev/null"
    wait_for_service(guest, "porter", listens)
