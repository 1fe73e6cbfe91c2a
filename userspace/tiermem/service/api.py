"""The local API: HTTP/JSON over a Unix socket that only root and one group reach.

Who may connect (socket_file.py) may GET; other verbs need root (or the user that
runs the daemon), told by the kernel's SO_PEERCRED and not by anything the client
sends. /metrics is Prometheus text.

A client can cost a daemon little: at most CONNECTIONS_MAX connections, bodies
of BODY_BYTES_MAX, REQUEST_LIMIT_S for a request to come in and be answered.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tiermem.errors import ConfigError, TiermemError
from tiermem.service.metrics import Metrics
from tiermem.service.socket_file import GROUP, claim, listen

BODY_BYTES_MAX = 65536
CONNECTIONS_MAX = 64
REQUEST_LIMIT_S = 10.0

_UCRED = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)
_log = logging.getLogger(__name__)

Reader = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Answers a GET: takes the query's keys and values, returns what JSON can hold."""

Writer = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Answers a POST: takes the body's JSON object, returns what JSON can hold."""


@dataclass(frozen=True)
class Peer:
    """The process at the other end, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """Who connected, by SO_PEERCRED."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return Peer(*_UCRED.unpack(raw))


class LocalApi:
    """The server end: add readers and writers, then `start`; `stop` removes the socket."""

    def __init__(
        self,
        path: Path,
        metrics: Metrics,
        group: str = GROUP,
        request_limit_s: float = REQUEST_LIMIT_S,
        answer_limit_s: float | None = None,
    ) -> None:
        """answer_limit_s: how long an answer may take, where that is not request_limit_s."""
        self.path = path
        self._group = group
        self._limit_s = request_limit_s
        self._answer_limit_s = answer_limit_s or request_limit_s
        self._app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[self._guard])
        self._app.router.add_get("/metrics", _metrics_handler(metrics))
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._lock_fd: int | None = None
        self._bound = False
        self._silent: set[object] = set()

    def get(self, route: str, reader: Reader) -> None:
        """Answer GET `route`, for everybody who may connect."""

        async def handle(request: web.Request) -> web.Response:
            return web.json_response(await reader(request.query))

        self._app.router.add_get(route, handle)

    def post(self, route: str, writer: Writer) -> None:
        """Answer POST `route`, for root only. The body is a JSON object."""

        async def handle(request: web.Request) -> web.Response:
            return web.json_response(await writer(await _json_object(request)))

        self._app.router.add_post(route, handle)

    async def start(self) -> None:
        """Listen. TiermemError when another daemon does, or the path is taken."""
        self._lock_fd = claim(self.path, self._group)
        try:
            listener = listen(self.path, self._group)
            self._bound = True
            # A keep-alive connection that goes quiet is closed after the same time.
            self._runner = web.AppRunner(
                self._app, access_log=None, keepalive_timeout=self._limit_s, shutdown_timeout=1.0
            )
            await self._runner.setup()
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(self._accept, sock=listener)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close what is open and remove the socket; does nothing the second time."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._bound:
            self.path.unlink(missing_ok=True)
            self._bound = False
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def _accept(self) -> asyncio.Protocol:
        """The protocol of one new connection; refuses it when there are too many."""
        assert self._runner is not None
        server = self._runner.server
        assert server is not None
        if len(server.connections) >= CONNECTIONS_MAX:
            return _Refuse()
        protocol = server()
        self._silent.add(protocol)
        loop = asyncio.get_running_loop()
        loop.call_later(self._limit_s, self._drop_if_silent, protocol)
        return protocol

    def _drop_if_silent(self, protocol: web.RequestHandler) -> None:
        """Close a connection whose first request has not come in whole by now."""
        if protocol in self._silent:
            self._silent.discard(protocol)
            if protocol.transport is not None:
                protocol.transport.abort()

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Rights, time limit, and every error as JSON."""
        self._silent.discard(request.protocol)
        try:
            async with asyncio.timeout(self._answer_limit_s):
                _check_rights(request)
                return await handler(request)
        except web.HTTPException as error:
            return _error_response(error.reason, error.status)
        except TimeoutError:
            return _error_response(f"no answer within {self._answer_limit_s:g} s", 503)
        except TiermemError as error:
            status = 400 if isinstance(error, ConfigError) else 409
            return _error_response(str(error), status, error.exit_code)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            return _error_response("internal error; the daemon's log says more", 500)


class _Refuse(asyncio.Protocol):
    """Says that there are too many connections, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        body = b'{"error": "too many connections"}'
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        transport.close()


def _check_rights(request: web.Request) -> None:
    if request.method in ("GET", "HEAD"):
        return
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None:
        raise web.HTTPForbidden(reason="the client is gone")
    uid = peer_of(connection).uid
    if uid not in (0, os.geteuid()):
        raise web.HTTPForbidden(reason=f"user {uid} may only read; changes need root")


async def _json_object(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:
        raise ConfigError("the body must be a JSON object") from error
    if not isinstance(body, dict):
        raise ConfigError("the body must be a JSON object")
    return body


def _metrics_handler(metrics: Metrics) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_request: web.Request) -> web.Response:
        body, content_type = metrics.render()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return handle


def _error_response(message: str, status: int, exit_code: int = 1) -> web.Response:
    return web.json_response({"error": message, "exit_code": exit_code}, status=status)
