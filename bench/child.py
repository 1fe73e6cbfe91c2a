"""A part of a benchmark in a process of its own, on processors of its own.

    with Child("bench.net_host", spec) as child:    # a frozen dataclass
        child.pause(); child.resume()

The program calls `serve`: it is told its spec as JSON, says that it is ready, and goes on
until its input ends, which it does too when the benchmark dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any, Self

from tiermem.errors import TiermemError

_READY = "ready"


class Child:
    """It runs, and is ready, until `close`. TiermemError with what it said where it is not."""

    def __init__(self, module: str, spec: Any) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(asdict(spec), default=str)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != _READY:
            self._process.kill()
            _, said = self._process.communicate()
            raise TiermemError(f"{module}: {(said.strip().splitlines() or ['ended'])[-1]}")

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def pause(self) -> None:
        """It takes no processor time until `resume`."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Have it end. TiermemError where it does not end well."""
        self.resume()
        _, said = self._process.communicate()
        if self._process.returncode:
            raise TiermemError(f"{self._module}: {(said.strip().splitlines() or ['failed'])[-1]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def run_on(cpu: int, *, is_yielding: bool = False) -> None:
    """This thread, and those that it starts from now on. `is_yielding`: any other program that
    wants that processor has it at once."""
    os.sched_setaffinity(0, {cpu})
    if is_yielding:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def serve(start: Callable[[Mapping[str, Any]], AbstractContextManager[object]]) -> None:
    """Be a child: what `start` returns is entered until the input ends."""
    with start(json.loads(sys.argv[1])):
        print(_READY, flush=True)
        sys.stdin.read()
