"""cxlforkd as its clients use it: restores by its express socket, all else by its API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tiermem.cxlfork.express_client import AskedRestore
from tiermem.cxlfork.policies import Policy
from tiermem.layer.pool import open_pool
from tiermem.service.client import LocalClient

from bench.guest.fork_instances import Instance, Pipes, kill_and_wait

SOCKET = Path("/run/tiermem/fork.sock")
POOL = Path("/dev/dax0.0")
TIMEOUT_S = 3600.0
"""Of the guest's clock, which leaps."""


class ForkDaemon:
    """See the module."""

    def __init__(self) -> None:
        self._client = LocalClient(SOCKET, timeout_s=TIMEOUT_S)

    def checkpoint(self, pid: int, name: str) -> dict[str, Any]:
        """Take an image; what the daemon says of it."""
        taken: dict[str, Any] = self._client.post("/v1/checkpoint", {"pid": pid, "name": name})
        return taken

    def remove(self, name: str) -> None:
        """Take an image out of the pool."""
        self._client.post("/v1/remove", {"name": name})

    def ghosts(self) -> int:
        """How many are ready."""
        return int(self._client.get("/v1/status")["ghosts"])

    def wait_for_ghost(self) -> None:
        """Until one is ready, as it is when the daemon has just looked."""
        while self.ghosts() == 0:
            time.sleep(0.1)

    @staticmethod
    def ask_restore(name: str, policy: str, pipes: Pipes) -> AskedRestore:
        """Demand a clone; `restored` has it."""
        stdio = (*pipes.given, pipes.given[1])
        return AskedRestore(SOCKET, name, Policy(policy), stdio)

    @staticmethod
    def restored(asked: AskedRestore, pipes: Pipes) -> tuple[Instance, dict[str, int]]:
        """The clone that was demanded, and how long the phases of its restore took, ns."""
        clone = asked.answer()

        def end() -> None:
            kill_and_wait(int(clone["init_pid"]))

        instance = Instance(int(clone["pid"]), pipes.requests, pipes.answers, end)
        return instance, clone["phases_ns"]


def pool_bytes() -> int:
    """All that is allocated in the pool, for whatever."""
    with open_pool(POOL) as pool:
        return sum(entry.bytes for entry in pool.entries(unfinished=True))
