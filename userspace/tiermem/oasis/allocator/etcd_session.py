"""Requests to members of an etcd cluster, by the HTTP/JSON gateway of each.

Called from any thread, also from one that runs an event loop, which waits meanwhile. With a
user, a token is asked for before the first request, and again when etcd does not know it
any more: it forgets them after a while, and when it starts anew.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import aiohttp

from tiermem.errors import (
    ConfigError,
    DamagedError,
    MissingError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.oasis.allocator.etcd_access import EtcdAccess

_AUTHENTICATE = "/v3/auth/authenticate"
# etcd takes about a tenth of a second of a processor to check a password.
_AUTHENTICATE_S = 1.0
_TOKEN_IS_OVER = ("invalid auth token", "user name is empty", "revision of auth store is old")
_REFUSALS = (
    "authentication failed",
    "authentication is not enabled",
    "permission denied",
    "user name is empty",
    "CommonName of client",
)
_SHOWN_CHARS_MAX = 120
_Result = TypeVar("_Result")


class _TokenIsOverError(ConfigError):
    """To be asked again with another one."""


class EtcdSession:
    """A thread of its own, and connections that are kept, until `close`."""

    def __init__(self, timeout_s: float, access: EtcdAccess) -> None:
        """timeout_s: of each request."""
        self._timeout_s, self._access = timeout_s, access
        self._token: str | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._session = self._wait(self._open())

    def ask(self, endpoint: str, route: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON answer to a POST of `body`, or to GET. MissingError, TimeoutExpiredError,
        ConfigError where etcd refuses what this host proves, TiermemError."""
        return self._wait(self._ask_as_user(endpoint, route, body))

    def close(self) -> None:
        """Do not use it any more."""
        self._wait(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> aiohttp.ClientSession:
        tls = self._access.tls
        connector = aiohttp.TCPConnector() if tls is None else aiohttp.TCPConnector(ssl=tls)
        return aiohttp.ClientSession(connector=connector)

    def _wait(self, asked: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()

    async def _ask_as_user(self, endpoint: str, route: str, body: dict[str, Any] | None) -> Any:
        if self._access.user is None:
            return await self._ask(endpoint, route, body, self._timeout_s)
        if self._token is not None:
            try:
                return await self._ask(endpoint, route, body, self._timeout_s)
            except _TokenIsOverError:
                self._token = None
        await self._authenticate(endpoint, self._access.user)
        return await self._ask(endpoint, route, body, self._timeout_s)

    async def _authenticate(self, endpoint: str, user: str) -> None:
        body = {"name": user, "password": self._access.password}
        timeout_s = max(self._timeout_s, _AUTHENTICATE_S)
        answer = await self._ask(endpoint, _AUTHENTICATE, body, timeout_s)
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise DamagedError(f"etcd at {endpoint}: the answer holds no token")
        self._token = token

    async def _ask(
        self, endpoint: str, route: str, body: dict[str, Any] | None, timeout_s: float
    ) -> Any:
        has_token = self._token is not None and route != _AUTHENTICATE
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                endpoint.rstrip("/") + route,
                json=body,
                headers={"Authorization": self._token} if has_token and self._token else None,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as answer:
                content = await answer.text()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _in_words(endpoint, error, timeout_s) from error
        return _content(endpoint, answer, content)


def _in_words(endpoint: str, error: Exception, timeout_s: float) -> TiermemError:
    """What went wrong before there was an answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        reason = getattr(error.certificate_error, "verify_message", error.certificate_error)
        return ConfigError(f"etcd at {endpoint}: its certificate is not trusted: {reason}")
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        reason = getattr(error, "reason", None) or getattr(error.__cause__, "reason", None)
        return ConfigError(f"etcd at {endpoint}: TLS fails: {reason or error}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return MissingError(f"etcd at {endpoint}: {_reason(error.os_error)}")
    if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
        # Whether the alert that says so is read before the connection's end is a race.
        hint = "; it may want a certificate (etcd_cert)" if endpoint.startswith("https:") else ""
        return MissingError(f"etcd at {endpoint}: has ended the connection{hint}")
    if isinstance(error, TimeoutError):
        return TimeoutExpiredError(f"etcd at {endpoint}: no answer within {timeout_s:g} s")
    return TiermemError(f"etcd at {endpoint}: the answer is not understood: {error}")


def _reason(error: OSError) -> str:
    """Names that are not found have numbers of their own (EAI_NONAME and so on), below 0."""
    is_errno = error.errno is not None and error.errno > 0
    return os.strerror(error.errno or 0) if is_errno else str(error.strerror or error)


def _content(endpoint: str, answer: aiohttp.ClientResponse, text: str) -> Any:
    said: object = text
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict):
        said = content.get("error")
    if answer.status != 200:
        raise _refusal(endpoint, said) or TiermemError(
            f"etcd at {endpoint}: {_first_line(said) or 'is not well'} (status {answer.status})"
        )
    if content is None:
        raise DamagedError(f"etcd at {endpoint}: the answer is not JSON")
    return content


def _refusal(endpoint: str, said: object) -> ConfigError | None:
    """Where etcd has answered that this host has not proved enough."""
    text = _first_line(said)
    if any(one in text for one in _TOKEN_IS_OVER):
        return _TokenIsOverError(f"etcd at {endpoint}: {text}")
    if any(one in text for one in _REFUSALS):
        return ConfigError(f"etcd at {endpoint}: {text}")
    return None


def _first_line(said: object) -> str:
    return str(said or "").strip().partition("\n")[0][:_SHOWN_CHARS_MAX]
