"""The client end of a daemon's local API, for the command line and for tests.

Every way to fail is a TiermemError with one line: no daemon, no right, what
the daemon answered, or no answer in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tiermem.errors import (
    ConfigError,
    DamagedError,
    MissingError,
    NoSpaceError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.service.socket_file import GROUP

_BASE = "http://localhost"  # a URL needs a host; the socket decides who answers
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
        return asyncio.run(self.request("GET", route, query=query))

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to POST `route` with a JSON object."""
        return asyncio.run(self.request("POST", route, body=body))

    def metrics(self) -> str:
        """The Prometheus text of /metrics."""
        return str(asyncio.run(self.request("GET", "/metrics")))

    async def request(
        self,
        method: str,
        route: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One request; JSON decoded, anything else as text."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.UnixConnector(path=str(self.path))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(method, _BASE + route, params=query, json=body) as answer,
            ):
                is_json = answer.content_type == "application/json"
                content = await answer.json() if is_json else await answer.text()
                _raise_for(answer.status, content)
                return content
        except aiohttp.ClientConnectorError as error:
            raise no_connection(self.path, error.os_error) from error
        except TimeoutError as error:
            raise TimeoutExpiredError(
                f"{self.path}: no answer within {self._timeout_s:g} s"
            ) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise TiermemError(f"{self.path}: the answer is not understood: {error}") from error


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
