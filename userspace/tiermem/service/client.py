"""The client end of a daemon's local API, for the command line and for tests.

Every way to fail is a TiermemError with one line: no daemon, no right, what
the daemon answered, or no answer in time. It is the standard library's HTTP, since
each command line would wait for a larger one to be imported.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tiermem.errors import (
    ConfigError,
    DamagedError,
    MissingError,
    NoSpaceError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.service.socket_file import GROUP

# What went wrong in the daemon ends the command line with the same status.
_ERRORS: dict[int, type[TiermemError]] = {
    kind.exit_code: kind
    for kind in (ConfigError, MissingError, TimeoutExpiredError, DamagedError, NoSpaceError)
}


class LocalClient:
    """Asks the daemon that listens at `path`, one connection a request."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def get(self, route: str, query: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to GET `route`."""
        return self._request("GET", route, query)

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to POST `route` with a JSON object."""
        return self._request("POST", route, body=body)

    def metrics(self) -> str:
        """The Prometheus text of /metrics."""
        return str(self._request("GET", "/metrics"))

    async def request(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One request, of who has other things to do meanwhile."""
        import asyncio  # who has a loop has it loaded; each command line would wait for it

        return await asyncio.to_thread(self._request, method, route, query, body)

    def _request(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """JSON decoded, anything else as text. The time is over when nothing came for so long."""
        connection = _Connection(self.path, self._timeout_s)
        try:
            connection.connect()
        except TimeoutError:
            raise self._too_late() from None
        except OSError as error:
            raise no_connection(self.path, error) from error
        target = f"{route}?{urlencode(query)}" if query else route
        given = None if body is None else json.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            with suppress(BrokenPipeError):  # it has answered before it read all that we said
                connection.request(method, target, given, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json"
            content = json.loads(text) if is_json else text
        except TimeoutError:
            raise self._too_late() from None
        except (OSError, HTTPException, ValueError) as error:
            raise TiermemError(f"{self.path}: the answer is not understood: {error!r}") from error
        finally:
            connection.close()
        _raise_for(answer.status, content)
        return content

    def _too_late(self) -> TimeoutExpiredError:
        return TimeoutExpiredError(f"{self.path}: no answer within {self._timeout_s:g} s")


class _Connection(HTTPConnection):
    """To a socket file; the host that HTTP wants to be named is nobody's."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def no_connection(path: Path, error: OSError) -> MissingError:
    """Why the daemon whose API listens at `path` cannot be connected to."""
    if isinstance(error, PermissionError):
        return MissingError(
            f"{path}: needs root or membership of group {GROUP} (usermod -a -G {GROUP} USER)"
        )
    daemon = path.stem
    return MissingError(
        f"{path}: no {daemon} daemon is listening "
        f"(systemctl start tiermem-{daemon}, or tiermem {daemon} run)"
    )


def error_of(answer: Mapping[str, Any], default: str = "the daemon gave no reason") -> TiermemError:
    """What a daemon refused with: its "error", of the kind that its "exit_code" tells."""
    message = str(answer.get("error") or default)
    return _ERRORS.get(answer.get("exit_code", 1), TiermemError)(message)


def _raise_for(status: int, content: Any) -> None:
    if status >= 400:
        answer = content if isinstance(content, dict) else {}
        raise error_of(answer, f"the daemon answered with status {status}")
