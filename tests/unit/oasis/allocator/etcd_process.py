"""A real etcd of one member, to be killed and started again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 30.0


def is_installed() -> bool:
    return shutil.which("etcd") is not None


class Etcd:
    """One process over a folder, on this machine's loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url, self._peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
        self.start()

    def start(self) -> None:
        with (self._folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("etcd", "--name", "one", "--data-dir", str(self._folder / "data")),
                    *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
                    *("--listen-peer-urls", self._peer),
                    *("--initial-advertise-peer-urls", self._peer),
                    *("--initial-cluster", f"one={self._peer}"),
                ],
                stdout=log,
                stderr=log,
            )
        end_s = time.monotonic() + PATIENCE_S
        while not self._is_healthy():
            assert self._process.poll() is None, (self._folder / "etcd.log").read_text()[-2000:]
            assert time.monotonic() < end_s, "etcd does not become healthy"
            time.sleep(0.02)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return bool(json.load(answer)["health"] == "true")
        except OSError:
            return False

    @contextmanager
    def killed(self) -> Iterator[None]:
        """It is not there meanwhile, and goes on after."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
