"""The project's own daemon as a policy of the benchmark."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.guest.policies import COMMAND_S, Moves, Policy
from bench.guest.processes import RunError, spawn, stop, tail, wait_for
from bench.guest.spec import RunSpec

NOTED = ("reason", "totals", "costs", "tiers", "room", "promoter", "recent", "cpu")


class M5Daemon(Policy):
    """`tiermem m5 run` with the spec's config."""

    arms_model = True

    def __init__(self, spec: RunSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self._log = folder / "m5.log"
        self._socket = folder / "m5.sock"
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """See Policy.start."""
        config = self.folder / "m5.toml"
        config.write_text(self.spec.m5_config.replace("@FOLDER@", str(self.folder)))
        self._process = spawn(("tiermem", "m5", "run", "--config", str(config)), self._log)
        wait_for(self._socket, self._process, self._log, COMMAND_S)

    def stop(self) -> None:
        """See Policy.stop."""
        if self._process is not None:
            stop(self._process)
            if self._process.returncode not in (0, -15):
                raise RunError(f"m5 ended with {self._process.returncode}: {tail(self._log)}")

    def daemon_pid(self) -> int | None:
        """See Policy.daemon_pid."""
        return self._process.pid if self._process is not None else None

    def moves(self) -> Moves:
        """See Policy.moves: promotions as the daemon got them from the promoter."""
        if self._process is None:
            return super().moves()
        return Moves(self._status()["totals"]["moved_pages"], super().moves().down)

    @contextmanager
    def watch(self) -> Iterator[set[int]]:
        """See Policy.watch: pages that the dry run would have moved."""
        found: set[int] = set()
        yield found
        for line in (self.folder / "rounds.jsonl").read_text().splitlines():
            found.update(json.loads(line)["promoted"])

    def notes(self) -> dict[str, Any]:
        """See Policy.notes."""
        status = self._status()
        return {"m5": {key: status.get(key) for key in NOTED}, "m5_log": tail(self._log)}

    def _status(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(COMMAND_S)
        connection.sock.connect(str(self._socket))
        try:
            connection.request("GET", "/v1/status")
            status: dict[str, Any] = json.loads(connection.getresponse().read())
            return status
        except (OSError, ValueError) as error:
            raise RunError(f"m5 does not tell its status: {error}: {tail(self._log)}") from None
        finally:
            connection.close()
