"""The asking end of express.py: a restore by one packet each way."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiermem.cxlfork.policies import Policy
from tiermem.errors import MissingError, TiermemError
from tiermem.service.api import BODY_BYTES_MAX
from tiermem.service.client import error_of, no_connection


def express_path(api_socket: Path) -> Path:
    """Beside the local API's socket."""
    return api_socket.with_name(f"{api_socket.stem}-express.sock")


class AskedRestore:
    """A restore that was asked for; its answer comes once.

    path: the socket of the daemon's API; MissingError where none listens.
    """

    def __init__(self, path: Path, name: str, policy: Policy, stdio: Sequence[int] = ()) -> None:
        self._path = path
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        packet = json.dumps({"name": name, "policy": policy.value}).encode()
        try:
            self._connection.connect(str(express_path(path)))
            socket.send_fds(self._connection, [packet], list(stdio))
        except PermissionError:
            self._connection.close()
            raise MissingError(f"{path}: to restore needs root") from None
        except OSError as error:
            self._connection.close()
            raise no_connection(path, error) from error

    def fileno(self) -> int:
        """Readable when the answer is there; for selectors."""
        return self._connection.fileno()

    def answer(self) -> dict[str, Any]:
        """See the module; waits for it. TiermemError as the daemon said it."""
        with self._connection:
            return self._understood(self._connection.recv(BODY_BYTES_MAX))

    async def answered(self) -> dict[str, Any]:
        """The same, in an event loop."""
        with self._connection:
            self._connection.setblocking(False)
            loop = asyncio.get_running_loop()
            return self._understood(await loop.sock_recv(self._connection, BODY_BYTES_MAX))

    def _understood(self, packet: bytes) -> dict[str, Any]:
        if not packet:
            raise TiermemError(f"{self._path}: the daemon hung up")
        answer: dict[str, Any] = json.loads(packet)
        if "error" in answer:
            raise error_of(answer)
        return answer
