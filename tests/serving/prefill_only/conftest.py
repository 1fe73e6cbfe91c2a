"""The server as people start it, and OpenAI's own client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from bench.smollm2 import model_folder

MAX_INPUT, MAX_WAITING = 512, 4
_START_S = 240.0


@dataclass
class Running:
    """A server's process, and where it listens."""

    process: subprocess.Popen[str]
    url: str

    def client(self, **options: Any) -> Any:
        """Without its own retries, which would hide what the server says."""
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, **options)

    def end(self) -> int:
        """By SIGTERM; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def start_server(*options: str) -> Running:
    """`tiermem serving prefill-only`, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tiermem.cli", "serving", "prefill-only"]
    command += [str(model_folder("float32")), "--memory", "256M", "--port", str(port)]
    command += ["--max-input", str(MAX_INPUT), "--max-waiting", str(MAX_WAITING)]
    command += ["--served-model-name", "smollm2", "--threads", "1", *options]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TERM": "dumb"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    begin = time.monotonic()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("serving"):
            return Running(process, f"http://127.0.0.1:{port}")
        assert time.monotonic() - begin < _START_S
    raise AssertionError(f"the server ended with {process.wait()}")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    """One for all tests of a module; it must end cleanly."""
    running = start_server("--attention", "torch")
    try:
        yield running
        assert running.end() == 0
    finally:
        running.process.kill()
        running.process.wait()
