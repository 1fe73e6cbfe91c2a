"""Pods that outlive the command that started them (`tiermem testbed up`).

A supervisor process boots the pod and holds it; its state is one JSON file. Any
process of the same user may attach to a guest and run commands. When the
supervisor ends, however it ends, its QEMUs do.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tiermem.errors import ConfigError
from tiermem.testbed.booting import Kernel
from tiermem.testbed.cache import locked
from tiermem.testbed.channel import Channel
from tiermem.testbed.errors import BootError
from tiermem.testbed.guest import Guest, GuestFiles
from tiermem.testbed.machine import Time
from tiermem.testbed.run_control import RunControl
from tiermem.testbed.run_dirs import runtime_root

_STOP_S = 20.0
_CONNECT_S = 10.0


class Order(BaseModel):
    """What the supervisor is asked to boot."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    pod: str
    topology: str
    settings: dict[str, str | int]
    kernel: Kernel
    time: Time
    plugin: bool
    plugin_parameters: dict[str, str]
    out_dir: Path | None


class State(BaseModel):
    """A pod that is up: its order, its supervisor, and where its guests are reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    order: Order
    supervisor_pid: int
    guests: dict[str, GuestFiles]

    @property
    def alive(self) -> bool:
        """Whether the supervisor still runs (a reused pid does not count)."""
        return _is_supervisor(self.supervisor_pid)


def state_file(pod: str) -> Path:
    """Where a pod's state is written."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", pod):
        raise ConfigError(f"pod name {pod!r}: small letters, digits and '-', 32 at most")
    return runtime_root() / f"up-{pod}.json"


def log_file(pod: str) -> Path:
    """What the supervisor says while it builds, boots and fails."""
    return state_file(pod).with_suffix(".log")


def pods_up() -> list[State]:
    """Every pod that is up; files left by supervisors that were killed are removed."""
    states = []
    for file in sorted(runtime_root().glob("up-*.json")):
        state = State.model_validate_json(file.read_text())
        if state.alive:
            states.append(state)
        else:
            file.unlink(missing_ok=True)
    return states


def find(pod: str) -> State:
    """The state of a pod that is up; ConfigError names those that are, if it is not."""
    states = {state.order.pod: state for state in pods_up()}
    if pod not in states:
        there = ", ".join(states) or "none"
        raise ConfigError(f"pod {pod!r} is not up (up: {there}); start it: tiermem testbed up")
    return states[pod]


def up(order: Order) -> State:
    """Start a pod in the background and wait until its guests are ready.

    Should this process end before, however it ends, so do the supervisor and its guests.
    """
    file = state_file(order.pod)
    with locked(file.with_suffix(".lock")):
        if order.pod in {state.order.pod for state in pods_up()}:
            raise ConfigError(f"pod {order.pod!r} is up already; tiermem testbed down ends it")
        log = log_file(order.pod)
        with log.open("wb") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tiermem.testbed.supervisor", order.model_dump_json()],
                # Ours alone, so it ends when this process does, and tells the supervisor so.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return _wait_until_up(file, supervisor, log)
        except BaseException:
            supervisor.terminate()
            supervisor.wait(_STOP_S)
            raise


def _wait_until_up(file: Path, supervisor: subprocess.Popen[bytes], log: Path) -> State:
    shown = 0
    while True:
        text = log.read_text(errors="replace")
        sys.stderr.write(text[shown:] if supervisor.poll() is None else "")
        shown = len(text)
        if file.exists():
            return State.model_validate_json(file.read_text())
        if supervisor.poll() is not None:
            said = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise BootError(f"the pod did not come up: {said[-1]} (all of it: {log})")
        time.sleep(0.1)


def down(pod: str) -> None:
    """End a pod; its guests are gone when this returns."""
    state = find(pod)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            if state.alive:
                os.kill(state.supervisor_pid, number)
        if _wait_until_gone(state):
            state_file(pod).unlink(missing_ok=True)
            return
    raise BootError(
        f"pod {pod!r}: killed {_STOP_S:.0f} s ago and still there "
        f"(supervisor: process {state.supervisor_pid})"
    )


def _wait_until_gone(state: State) -> bool:
    deadline = time.monotonic() + _STOP_S
    # A supervisor that is killed leaves the end of its QEMUs to the kernel, a moment later.
    sockets = [files.control_socket for files in state.guests.values()]
    while state.alive or any(_is_served(path) for path in sockets):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_served(path: Path) -> bool:
    """Whether the process that made a socket, a QEMU, still has it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:
            return True
    return True


def guest_files(state: State, name: str | None) -> GuestFiles:
    """A guest of a pod; the first one if no name is given."""
    name = name or next(iter(state.guests))
    if name not in state.guests:
        raise ConfigError(
            f"pod {state.order.pod!r} has no host {name!r}: {', '.join(state.guests)}"
        )
    return state.guests[name]


@contextlib.contextmanager
def attach(state: State, name: str | None = None) -> Iterator[Guest]:
    """A guest of a pod that another process booted. One at a time: others wait."""
    files = guest_files(state, name)
    with locked(files.agent_socket.with_suffix(".lock")), contextlib.ExitStack() as stack:
        agent = Channel(f"{files.name}-agent", files.agent_socket, agent=True)
        monitor = Channel(f"{files.name}-control", files.control_socket, agent=False)
        monitor.connect(_CONNECT_S)
        stack.callback(monitor.close)
        running = RunControl(monitor, only_in_use=state.order.time == "icount")
        agent.connect(_CONNECT_S)
        stack.callback(agent.close)
        yield Guest(files, agent, monitor, lambda: state.alive, running)


def _is_supervisor(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return b"tiermem.testbed.supervisor" in command and status.rpartition(")")[2].split()[0] != "Z"
