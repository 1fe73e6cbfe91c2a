"""What a build says while it runs: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status

from tiermem.errors import MissingError
from tiermem.testbed.errors import BuildError

_FAILURE_LINES = 40


class Step:
    """One step of a build: a headline, and the line it is at."""

    def __init__(self, title: str, status: Status | None) -> None:
        self.title = title
        self._status = status

    def detail(self, line: str) -> None:
        """Show what the step is doing now (on a terminal only)."""
        if self._status is not None:
            self._status.update(f"{self.title}: [dim]{line[:70]}[/dim]")


class Progress:
    """Announces steps on stderr, with the seconds each took; quiet says nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """One step; announced at its start and, with its duration, at its end."""
        begin = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title) as status:
                yield Step(title, status)
        else:
            self._console.print(f"testbed: {title} ...", markup=False)
            yield Step(title, None)
        self._console.print(f"testbed: {title}: {time.monotonic() - begin:.0f} s", markup=False)


def run_logged(command: Sequence[str], step: Step, doing: str, *, log: Path | None = None) -> None:
    """Run a command, its output shown as the step's detail; BuildError with its last lines.

    log: where to keep the whole output, if anywhere.
    """
    lines: list[str] = []
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                step.detail(lines[-1])
        except BaseException:
            process.terminate()
            raise
    if log is not None:
        log.write_text("\n".join(lines) + "\n")
    if process.returncode != 0:
        if any("No space left on device" in line for line in lines):
            raise MissingError(f"{doing} failed: no space left on the disk")
        tail = "\n  ".join(lines[-_FAILURE_LINES:])
        raise BuildError(f"{doing} failed (status {process.returncode}):\n  {tail}")
