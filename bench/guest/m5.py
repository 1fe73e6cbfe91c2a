"""The project's own daemon as a policy of the benchmark."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from bench.guest.policies import COMMAND_S, Policy
from bench.guest.processes import RunError, spawn, stop, tail, wait_for
from bench.guest.spec import RunSpec


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
        self._socket.unlink(missing_ok=True)
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
