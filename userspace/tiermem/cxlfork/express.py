"""Restores for those whose calls wait for them: one packet each way, beside the local API.

Who asks (express_client.py) connects to a SOCK_SEQPACKET socket and sends a JSON object
{"name", "policy"?, "memory_MiB"?, "cpus"?} with the three descriptors that become the
process's 0, 1 and 2, or with none; it gets {"pid", "init_pid", "policy", "phases_ns"} or
{"error", "exit_code"}.

It spares what a request to the API costs beyond the restore: HTTP at both ends, the event
loop, and the way to a thread. The socket is root's alone; few threads answer, and who
keeps them waiting delays others who could end the daemon as well.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import threading
from typing import Any

from pydantic import Field

from tiermem.cxlfork.clones import Clone
from tiermem.cxlfork.daemon import ForkDaemon
from tiermem.cxlfork.express_client import express_path
from tiermem.cxlfork.host import null_stdio
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.cgroups import Limits
from tiermem.errors import ConfigError, TiermemError
from tiermem.service.api import BODY_BYTES_MAX, REQUEST_LIMIT_S
from tiermem.service.config import Settings, validate
from tiermem.service.socket_file import listen

_THREADS = min(4, os.cpu_count() or 1)
_STDIO = 3
_LIMIT = struct.pack("ll", int(REQUEST_LIMIT_S), 0)  # struct timeval
_log = logging.getLogger(__name__)


class OneRestore(Settings):
    """What may be said of a restored process."""

    name: str
    policy: Policy | None = None
    memory_MiB: int | None = Field(default=None, ge=1)  # noqa: N815
    cpus: float | None = Field(default=None, ge=0.01)

    def limits(self) -> Limits:
        """What it may take."""
        memory_bytes = None if self.memory_MiB is None else self.memory_MiB << 20
        return Limits(memory_bytes, self.cpus)


class Express:
    """The daemon's end: `start`, and `stop` before the daemon does."""

    def __init__(self, daemon: ForkDaemon) -> None:
        self.path = express_path(daemon.settings.socket)
        self._daemon = daemon
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Listen. TiermemError. Whoever has claimed the API's socket has this one too."""
        listener = self._listener = listen(self.path, None, socket.SOCK_SEQPACKET)
        listener.listen()
        for number in range(_THREADS):
            thread = threading.Thread(
                target=self._serve, args=(listener,), name=f"express {number}", daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Remove the socket; what was begun is finished."""
        if self._listener is None:
            return
        self.path.unlink(missing_ok=True)
        # Wakes those that wait for somebody to connect.
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        self._listener = None

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self._answer(connection)
                except OSError as error:  # it hung up, or said nothing for too long
                    _log.info("%s: %s", self.path, error.strerror or error)
                except Exception:
                    _log.exception("a restore failed")

    def _answer(self, connection: socket.socket) -> None:
        fds: list[int] = []
        try:
            clone = self._restore(connection, fds)
            answer = {
                "pid": clone.pid,
                "init_pid": clone.init_pid,
                "policy": clone.policy,
                "phases_ns": clone.phases_ns,
            }
        except TiermemError as error:
            answer = {"error": str(error), "exit_code": error.exit_code}
        finally:
            for fd in fds:
                os.close(fd)
        connection.send(json.dumps(answer).encode())

    def _restore(self, connection: socket.socket, fds: list[int]) -> Clone:
        """fds: what has come with the request and is to be closed."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LIMIT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _LIMIT)
        packet, came, flags, _ = socket.recv_fds(
            connection, BODY_BYTES_MAX, _STDIO + 1, socket.MSG_CMSG_CLOEXEC
        )
        fds += came
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ConfigError(f"restore: more than {BODY_BYTES_MAX} bytes or {_STDIO} descriptors")
        if len(fds) not in (0, _STDIO):
            raise ConfigError(f"restore: {len(fds)} descriptors have come; it takes 3 or none")
        wanted = validate(_json_object(packet), OneRestore, "restore")
        if not fds:
            fds += null_stdio()
        first, second, third = fds
        policy = wanted.policy or Policy(self._daemon.settings.policy)
        return self._daemon.restore_one(
            wanted.name, policy, (first, second, third), wanted.limits()
        )


def _json_object(packet: bytes) -> dict[str, Any]:
    try:
        found = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise ConfigError("restore: the packet must be a JSON object") from error
    if not isinstance(found, dict):
        raise ConfigError("restore: the packet must be a JSON object")
    return found
