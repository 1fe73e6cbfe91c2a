"""The local API: HTTP/JSON over a Unix socket that only root and one group reach.

The folder is 0750 and the socket 0660, both root:tiermem. Who may connect may
GET; other verbs need root (or the user that runs the daemon), told by the
kernel's SO_PEERCRED and not by anything the client sends. /metrics is
Prometheus text. A lock file beside the socket keeps two daemons apart, so that
a socket left behind by a crash is known to be stale and is replaced.

A client can cost a daemon little: at most CONNECTIONS_MAX connections, bodies
of BODY_BYTES_MAX, REQUEST_LIMIT_S for a request to come in and be answered.
"""

from __future__ import annotations

import asyncio
import fcntl
import grp
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tiermem.errors import ConfigError, MissingError, TiermemError
from tiermem.service.metrics import Metrics

RUN_DIR = Path("/run/tiermem")
GROUP = "tiermem"
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


def socket_path(daemon: str) -> Path:
    """Where the daemon called `daemon` (m5, …) listens unless its config says otherwise."""
    return RUN_DIR / f"{daemon}.sock"


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
    ) -> None:
        self.path = path
        self._group = group
        self._limit_s = request_limit_s
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
            listener = _listen(self.path, self._group)
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
            async with asyncio.timeout(self._limit_s):
                _check_rights(request)
                return await handler(request)
        except web.HTTPException as error:
            return _error_response(error.reason, error.status)
        except TimeoutError:
            return _error_response(f"no answer within {self._limit_s:g} s", 503)
        except TiermemError as error:
            return _error_response(str(error), 400 if isinstance(error, ConfigError) else 409)
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


def _error_response(message: str, status: int) -> web.Response:
    return web.json_response({"error": message}, status=status)


class ClaimedError(TiermemError):
    """Another daemon holds the lock beside the socket."""


def claim(path: Path, group: str = GROUP) -> int:
    """Make the folder and take the lock beside the socket; returns the lock's descriptor.

    ClaimedError while another process holds it. Who works on what a daemon owns, without
    listening, takes it too.
    """
    gid = group_id(group)
    try:
        is_new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        if gid is not None and (is_new or path.parent == RUN_DIR):
            _give_to_group(path.parent, gid, 0o750)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock_fd = os.open(path.with_name(path.name + ".lock"), flags, 0o600)
    except OSError as error:
        raise MissingError(
            f"{path}: the socket cannot be made there: {error.strerror} (run as root, or name "
            "another socket in the config)"
        ) from error
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock_fd)
        raise ClaimedError(f"{path}: another daemon is listening there") from error
    return lock_fd


def _listen(path: Path, group: str) -> socket.socket:
    """A bound socket at `path`, 0660 to the group or 0600; replaces a stale one."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is not None:
        if not stat.S_ISSOCK(mode):
            raise TiermemError(f"{path}: is there and is not a socket; remove it or name another")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux takes the mode of a socket file from the descriptor's, so it is never wider.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise TiermemError(f"{path}: cannot listen there: {reason}") from error
    gid = group_id(group)
    if gid is None:
        _log.warning("there is no group %s: only root can use %s", group, path)
    else:
        _give_to_group(path, gid, 0o660)
    return listener


def group_id(group: str) -> int | None:
    """The number of `group`, or None where this host has no such group."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _give_to_group(path: Path, gid: int, mode: int) -> None:
    try:
        os.chown(path, -1, gid)
        path.chmod(mode)
    except PermissionError:
        _log.warning("%s: cannot be given to group %d; only its owner can use it", path, gid)
