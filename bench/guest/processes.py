"""Processes of a run: the driven program, the server behind it, a tiering daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STOP_S = 60.0


class RunError(Exception):
    """A part of the run failed; the text says which and what it printed."""


def stop(process: subprocess.Popen[Any], sign: int = signal.SIGTERM) -> None:
    """End a process that we started, politely first."""
    if process.poll() is None:
        process.send_signal(sign)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spawn(command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen[Any]:
    """Start a command with its standard error (and output, unless piped) in `log`."""
    with log.open("wb") as sink:
        options.setdefault("stdout", sink)
        return subprocess.Popen(command, stderr=sink, **options)


def tail(log: Path) -> str:
    """The last lines of a log, for an error's text."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-5:])


class Program:
    """A program of bench/workloads: takes commands on its input, answers with JSON lines.

    Nothing here has a time limit: while the guest waits for the host's disk its
    clock leaps, so only the host can tell how long a run takes.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        self.name = Path(command[0]).name
        self.process = spawn(
            command, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self.process.pid

    def wait_ready(self) -> None:
        """Until it has set itself up. RunError when it fails."""
        if "ready" not in self._answer():
            raise RunError(f"{self.name}: did not say it was ready")

    def command(self, text: str) -> dict[str, Any]:
        """Send one command; its answer. RunError when the program fails."""
        stdin = self.process.stdin
        assert stdin is not None
        try:
            stdin.write(text + "\n")
            stdin.flush()
        except BrokenPipeError:
            raise RunError(f"{self.name}: ended early: {tail(self.log)}") from None
        return self._answer()

    def run(self, label: str, units: int) -> dict[str, Any]:
        """Let it do `units` of work; times and traffic of that work."""
        return self.command(f"run {label} {units}")

    def _answer(self) -> dict[str, Any]:
        stdout = self.process.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            self.process.wait()
            raise RunError(
                f"{self.name}: ended with status {self.process.returncode}: {tail(self.log)}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        stop(self.process)


def wait_for(path: Path, process: subprocess.Popen[Any], log: Path, timeout_s: float) -> None:
    """Until `path` exists. RunError when the process ends before, or never makes it."""
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        if process.poll() is not None:
            raise RunError(f"ended with status {process.returncode}: {tail(log)}")
        if time.monotonic() > deadline:
            raise RunError(f"{path} did not appear within {timeout_s:.0f} s: {tail(log)}")
        time.sleep(0.05)
