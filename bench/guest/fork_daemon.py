"""cxlforkd as its clients use it: its local API, a connection for each request."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from tiermem.layer.pool import open_pool

from bench.guest.fork_instances import Instance, Pipes, kill_and_wait
from bench.guest.processes import RunError

SOCKET = Path("/run/tiermem/fork.sock")
POOL = Path("/dev/dax0.0")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(SOCKET))


class ForkDaemon:
    """See the module."""

    def __init__(self) -> None:
        self._connection = _Connection("localhost")

    def ask(self, method: str, route: str, body: dict[str, Any] | None = None) -> None:
        """Send a request; `answer` has what comes back."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, route, text, {"Content-Type": "application/json"})

    def answer(self) -> Any:
        """The daemon's answer to what was asked last. RunError where it refused."""
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        self._connection.close()
        if answer.status >= 400:
            raise RunError(f"cxlforkd: {content}")
        return content

    def checkpoint(self, pid: int, name: str) -> dict[str, Any]:
        """Take an image; what the daemon says of it."""
        self.ask("POST", "/v1/checkpoint", {"pid": pid, "name": name})
        taken: dict[str, Any] = self.answer()
        return taken

    def remove(self, name: str) -> None:
        """Take an image out of the pool."""
        self.ask("POST", "/v1/remove", {"name": name})
        self.answer()

    def ghosts(self) -> int:
        """How many are ready."""
        self.ask("GET", "/v1/status")
        return int(self.answer()["ghosts"])

    def wait_for_ghost(self) -> None:
        """Until one is ready, as it is when the daemon has just looked."""
        while self.ghosts() == 0:
            time.sleep(0.1)

    def ask_restore(self, name: str, policy: str, pipes: Pipes) -> None:
        """Demand a clone; `restored` has it."""
        fds = (*pipes.given, pipes.given[1])
        body = {"name": name, "policy": policy, "stdio_of": os.getpid(), "stdio_fds": fds}
        self.ask("POST", "/v1/restore", body)

    def restored(self, pipes: Pipes) -> tuple[Instance, dict[str, int]]:
        """The clone that was demanded, and how long the phases of its restore took, ns."""
        (clone,) = self.answer()

        def end() -> None:
            kill_and_wait(int(clone["init_pid"]))

        instance = Instance(int(clone["pid"]), pipes.requests, pipes.answers, end)
        return instance, clone["phases_ns"]


def pool_bytes() -> int:
    """All that is allocated in the pool, for whatever."""
    with open_pool(POOL) as pool:
        return sum(entry.bytes for entry in pool.entries(unfinished=True))
