"""The project's own daemon as a policy of the benchmark."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.guest.policies import COMMAND_S, Moves, Policy
from bench.guest.preloaded import start_m5
from bench.guest.processes import STOP_S, RunError, tail
from bench.guest.spec import RunSpec

STATUS_TRIES = 5
NOTED = ("reason", "totals", "costs", "tiers", "room", "promoter", "recent", "cpu")


class M5Daemon(Policy):
    """`tiermem m5 run` with the spec's config."""

    arms_model = True

    def __init__(self, spec: RunSpec, folder: Path) -> None:
        super().__init__(spec, folder)
        self._log = folder / "m5.log"
        self._socket = folder / "m5.sock"
        self._pid: int | None = None

    def start(self) -> None:
        """See Policy.start."""
        config = self.folder / "m5.toml"
        config.write_text(self.spec.m5_config.replace("@FOLDER@", str(self.folder)))
        self._pid = start_m5(config, self._log)
        self._wait(self._answers, COMMAND_S, "did not answer")

    def stop(self) -> None:
        """See Policy.stop."""
        if self._pid is None or not self._is_running():
            return
        os.kill(self._pid, signal.SIGTERM)
        self._wait(lambda: not self._is_running(), STOP_S, "did not end")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def _is_running(self) -> bool:
        return Path(f"/proc/{self._pid}").exists()

    def _wait(self, condition: Callable[[], bool], timeout_s: float, trouble: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if not self._is_running():
                raise RunError(f"m5 has ended: {tail(self._log)}")
            if time.monotonic() > deadline:
                raise RunError(f"m5 {trouble} within {timeout_s:.0f} s: {tail(self._log)}")
            time.sleep(0.02)

    def daemon_pid(self) -> int | None:
        """See Policy.daemon_pid."""
        return self._pid

    def moves(self) -> Moves:
        """See Policy.moves: promotions as the daemon got them from the promoter."""
        if self._pid is None:
            return super().moves()
        status = self._status()
        return Moves(
            status["totals"]["moved_pages"],
            super().moves().down,
            round(status["cpu"]["moving_s"] * 1e9),
        )

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
        """The daemon's status, asked for again where the connection was cut.

        While the guest waits for the host's disk its clock leaps, and a leap beyond
        the daemon's time limit for a request ends one that has just begun.
        """
        for last in range(STATUS_TRIES - 1, -1, -1):
            try:
                return self._ask_status()
            except ConnectionResetError as error:
                if not last:
                    raise RunError(f"m5 cuts connections: {error}: {tail(self._log)}") from None
        raise AssertionError("the last try returns or raises")

    def _ask_status(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(COMMAND_S)
        connection.sock.connect(str(self._socket))
        try:
            connection.request("GET", "/v1/status")
            status: dict[str, Any] = json.loads(connection.getresponse().read())
            return status
        except ConnectionResetError:
            raise
        except (OSError, ValueError) as error:
            raise RunError(f"m5 does not tell its status: {error}: {tail(self._log)}") from None
        finally:
            connection.close()
