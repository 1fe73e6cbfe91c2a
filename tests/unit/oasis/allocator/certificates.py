"""Certificates for tests, made by openssl: of an authority, of etcd, and of hosts."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True)
class Signed:
    """Two files."""

    cert: Path
    key: Path


class Authority:
    """It trusts nobody, and signs for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.own = self._signed("authority", "/CN=authority")

    def sign(self, name: str, subject: str) -> Signed:
        """For this machine's loopback."""
        by = ("-CA", str(self.own.cert), "-CAkey", str(self.own.key))
        return self._signed(name, subject, *by, "-addext", "subjectAltName=IP:127.0.0.1")

    def _signed(self, name: str, subject: str, *how: str) -> Signed:
        made = Signed(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        files = ("-out", str(made.cert), "-keyout", str(made.key))
        command = ("openssl", "req", "-x509", "-days", "2", "-subj", subject)
        subprocess.run([*command, *_NEW_KEY, *files, *how], check=True, capture_output=True)
        made.key.chmod(0o600)
        return made
