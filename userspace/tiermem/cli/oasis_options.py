"""What the verbs of `tiermem oasis` share: where its config and its socket are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tiermem.cli.daemon_options import find_socket, socket_option
from tiermem.service.client import LocalClient

CONFIG = Path("/etc/tiermem/oasis.toml")
SOCKET = Path("/run/tiermem/oasis.sock")

SocketOption = Annotated[Path | None, socket_option(CONFIG, SOCKET)]


def client_of(given: Path | None) -> LocalClient:
    """For the daemon at that socket, or where the config has it."""
    return LocalClient(find_socket(given, CONFIG, SOCKET))
