"""cxlforkd as a process of its own, for tests of it and of what uses it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tiermem.errors import TiermemError
from tiermem.service.client import LocalClient

Daemon = subprocess.Popen[bytes]


def until(
    is_so: Callable[[], Any], timeout_s: float = 20.0, told: Callable[[], object] = lambda: None
) -> Any:
    """The first true answer; told: what there is instead, where none comes."""
    deadline_s = time.monotonic() + timeout_s
    while not (answer := is_so()):
        assert time.monotonic() < deadline_s, told()
        time.sleep(0.02)
    return answer


def start_daemon(
    stack: ExitStack, folder: Path, pool: Path, **changes: Any
) -> tuple[Daemon, LocalClient]:
    """Host 0's daemon, answering; it and all that it restored are ended by the stack."""
    socket = folder / "fork.sock"
    values = {"pool": pool, "socket": socket, "state_file": folder / "fork.jsonl"}
    options = [f"--set={key}={value}" for key, value in {**values, **changes}.items()]
    command = [sys.executable, "-m", "tiermem.cli", "fork", "run", *options]
    # Its log is the test's, and shown where that fails.
    daemon = subprocess.Popen(command)
    stack.callback(stop, daemon)
    client = LocalClient(socket, timeout_s=30)
    until(lambda: answers(client))
    stack.callback(end_all, client)
    return daemon, client


def answers(client: LocalClient) -> bool:
    try:
        client.get("/v1/status")
    except TiermemError:
        return False
    return True


def stop(daemon: Daemon, number: int = signal.SIGTERM) -> None:
    daemon.send_signal(number)
    daemon.wait()


def end_all(client: LocalClient) -> None:
    if answers(client):
        for clone in client.get("/v1/clones"):
            client.post("/v1/end", {"pid": clone["pid"]})
