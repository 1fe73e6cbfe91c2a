"""A program that is taken: started with nothing inherited, looked at from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

PATIENCE_S = 20.0


class Target:
    """A running process; its standard output is a pipe, read by line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def rest(self) -> list[str]:
        """All lines up to its end."""
        assert self._process.stdout is not None
        return self._process.stdout.read().splitlines()

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of it."""
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as file:
            file.seek(address)
            return file.read(size)

    @property
    def state(self) -> str:
        """One letter, as in /proc/PID/stat."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def status(self, field: str) -> str:
        """A field of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(field))

    def freeze(self) -> None:
        """From now on nothing of it changes; killed all the same at the end."""
        os.kill(self.pid, signal.SIGSTOP)
        eventually(lambda: self.state == "T", "it stands still")

    def end(self) -> None:
        """Kill it now: its image alone is left of it."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit status."""
        return self._process.wait(PATIENCE_S)

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.005)
