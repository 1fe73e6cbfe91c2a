"""A real etcd of one member, to be killed, stopped, and started again."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0


def is_installed() -> bool:
    return shutil.which("etcd") is not None


class Etcd:
    """One process over a folder, on this machine's loopback."""

    def __init__(
        self, folder: Path, options: tuple[str, ...] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        """tls: what its clients speak, where they do."""
        self._folder, self._options, self._tls = folder, options, tls
        client, peer = _free_ports(2)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{client}"
        self._peer = f"http://127.0.0.1:{peer}"
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
                    *self._options,
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
            return bool(self.ask("/health")["health"] == "true")
        except OSError:
            return False

    def ask(self, route: str, body: dict[str, str] | None = None) -> Any:
        """POST `body`, or GET; what it says."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            f"{self.url}{route}", data, timeout=PATIENCE_S, context=self._tls
        ) as answer:
            return json.load(answer)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is there meanwhile, and does not answer."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

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
