"""The local API over a real Unix socket: rights, limits, errors, stale sockets."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tiermem.errors import (
    ConfigError,
    DamagedError,
    MissingError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.service import api as api_module
from tiermem.service.api import BODY_BYTES_MAX, LocalApi, peer_of
from tiermem.service.client import LocalClient
from tiermem.service.metrics import Metrics

NOBODY = 65534
PATIENCE_S = 10.0
LIMIT_S = 0.3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "m5.sock"


@asynccontextmanager
async def serving(
    path: Path, request_limit_s: float = PATIENCE_S, **options: Any
) -> AsyncIterator[LocalApi]:
    api = LocalApi(path, Metrics("m5"), request_limit_s=request_limit_s, **options)

    async def status(query: Mapping[str, str]) -> Any:
        return {"state": "running", "query": dict(query)}

    async def change(body: Mapping[str, Any]) -> Any:
        if "power" not in body:
            raise ConfigError("power: is missing")
        return {"power": body["power"]}

    async def busy(_query: Mapping[str, str]) -> Any:
        raise TiermemError("node 1: is offline")

    async def damaged(_query: Mapping[str, str]) -> Any:
        raise DamagedError("image f: is damaged")

    async def broken(_query: Mapping[str, str]) -> Any:
        raise RuntimeError("secret detail")

    async def slow(_query: Mapping[str, str]) -> Any:
        await asyncio.sleep(60)

    for route, reader in {
        "/status": status,
        "/busy": busy,
        "/damaged": damaged,
        "/broken": broken,
        "/slow": slow,
    }.items():
        api.get(route, reader)
    api.post("/set", change)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


def with_api(path: Path, body: Callable[[LocalClient], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with serving(path, **options):
            await body(LocalClient(path, timeout_s=PATIENCE_S))

    asyncio.run(run())


async def raw(path: Path, request: bytes, limit_s: float = 5.0) -> bytes:
    """What comes back to `request`, sent as it is, until the server hangs up."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), limit_s)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_reads_and_changes(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        answer = await client.request("GET", "/status", query={"pid": "7"})
        assert answer == {"state": "running", "query": {"pid": "7"}}
        assert await client.request("POST", "/set", body={"power": 2}) == {"power": 2}

    with_api(path, body)


def test_errors_come_back_as_what_they_are(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        with pytest.raises(ConfigError, match=r"^power: is missing$"):
            await client.request("POST", "/set", body={})
        with pytest.raises(TiermemError, match=r"^node 1: is offline$"):
            await client.request("GET", "/busy")
        with pytest.raises(DamagedError, match=r"^image f: is damaged$"):
            await client.request("GET", "/damaged")
        with pytest.raises(TiermemError, match="Not Found"):
            await client.request("GET", "/nothing")
        with pytest.raises(TiermemError, match="Method Not Allowed"):
            await client.request("POST", "/status", body={})

    with_api(path, body)


def test_a_defect_is_logged_and_does_not_leak(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(client: LocalClient) -> None:
        with pytest.raises(TiermemError) as caught:
            await client.request("GET", "/broken")
        assert "secret" not in str(caught.value)
        assert await client.request("GET", "/status")

    with_api(path, body)
    assert "secret detail" in caplog.text


def test_metrics_are_prometheus_text(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        text = await client.request("GET", "/metrics")
        assert "tiermem_m5_process_cpu_seconds_total" in text
        assert "tiermem_m5_build_info{" in text

    with_api(path, body)


def test_the_socket_is_for_root_and_the_group_only(path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name

    async def body(_client: LocalClient) -> None:
        info = path.stat()
        assert stat.S_IMODE(info.st_mode) == 0o660
        assert info.st_gid == os.getgid()
        assert stat.S_IMODE(path.with_name("m5.sock.lock").stat().st_mode) == 0o600
        assert path.parent.stat().st_mode & 0o007 == 0

    with_api(path, body, group=group)


def test_without_the_group_the_socket_is_for_its_owner_only(path: Path) -> None:
    async def body(_client: LocalClient) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    with_api(path, body, group="no-such-group-here")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_another_user_may_read_and_not_change() -> None:
    """The right comes from the kernel's credentials, whoever can open the socket."""
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(sys.argv[2].encode()); print(s.recv(4096).decode())\n"
    )

    async def ask(path: Path, verb: str, route: str, content: str = "") -> str:
        request = (
            f"{verb} {route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n{content}"
        )
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/env", "python3", "-c", script, str(path), request,
            stdout=subprocess.PIPE, user=NOBODY, group=NOBODY, extra_groups=[],
        )  # fmt: skip
        return (await process.communicate())[0].decode()

    async def run(path: Path) -> None:
        async with serving(path):
            path.parent.chmod(0o755)  # a careless administrator
            path.chmod(0o777)
            assert "200 OK" in await ask(path, "GET", "/status")
            refused = await ask(path, "POST", "/set", '{"power": 1}')
            assert "403" in refused
            assert f"user {NOBODY} may only read" in refused

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "m5.sock"))


def test_peer_credentials_are_the_kernels() -> None:
    ours, _theirs = socket.socketpair()
    peer = peer_of(ours)
    assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00\xff" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /set HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
    ],
)
def test_junk_is_refused_and_the_next_client_is_served(path: Path, junk: bytes) -> None:
    async def body(client: LocalClient) -> None:
        answer = await raw(path, junk)
        assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
        assert await client.request("GET", "/status")

    with_api(path, body)


@pytest.mark.parametrize("text", ["[1]", "7", "{", "\xff", "[" * 30_000, '{"a": ' * 8000])
def test_a_body_that_is_not_a_json_object(path: Path, text: str) -> None:
    async def body(client: LocalClient) -> None:
        content = text.encode("latin-1")
        head = (
            f"POST /set HTTP/1.1\r\nConnection: close\r\nHost: x\r\nContent-Length: {len(content)}"
        )
        answer = await raw(path, head.encode() + b"\r\n\r\n" + content)
        assert b"400 Bad Request" in answer
        assert json.loads(answer.split(b"\r\n\r\n")[1])["error"] == "the body must be a JSON object"
        assert await client.request("GET", "/status")

    with_api(path, body)


def test_an_oversized_body_is_refused(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        with pytest.raises(TiermemError, match="Too Large"):
            await client.request("POST", "/set", body={"power": "x" * BODY_BYTES_MAX})
        assert await client.request("GET", "/status")

    with_api(path, body)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET /sta", b"GET /status HTTP/1.1\r\nHost: x\r\n"],
)
def test_a_client_that_never_finishes_its_request_is_dropped(path: Path, beginning: bytes) -> None:
    async def body(_client: LocalClient) -> None:
        assert await raw(path, beginning, limit_s=PATIENCE_S) == b""

    with_api(path, body, request_limit_s=LIMIT_S)


def test_a_client_that_never_finishes_its_body_is_told(path: Path) -> None:
    async def body(_client: LocalClient) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"POST /set HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b"503" in await asyncio.wait_for(reader.readline(), PATIENCE_S)
        writer.close()

    with_api(path, body, request_limit_s=LIMIT_S)


def test_a_handler_that_hangs_is_cut_off(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        with pytest.raises(TiermemError, match="no answer within"):
            await client.request("GET", "/slow")

    with_api(path, body, request_limit_s=LIMIT_S)


def test_answers_may_be_given_more_time_than_requests(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        began_s = time.monotonic()
        with pytest.raises(TiermemError, match="no answer within"):
            await client.request("GET", "/slow")
        assert time.monotonic() - began_s > 2 * LIMIT_S

    with_api(path, body, request_limit_s=LIMIT_S, answer_limit_s=2.5 * LIMIT_S)


def test_too_many_connections_are_refused_and_served_again_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "CONNECTIONS_MAX", 3)

    async def body(client: LocalClient) -> None:
        hoarded = [await asyncio.open_unix_connection(path) for _ in range(3)]
        with pytest.raises(TiermemError, match="too many connections"):
            await client.request("GET", "/status")
        for _, writer in hoarded:
            writer.close()
        await asyncio.sleep(0.05)
        assert await client.request("GET", "/status")

    with_api(path, body)


def test_a_stale_socket_is_replaced(path: Path) -> None:
    """A daemon that was killed leaves socket and lock file; the lock is free."""
    path.parent.mkdir()
    dead = (
        "import os, sys, socket, fcntl\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "fcntl.flock(os.open(sys.argv[1] + '.lock', os.O_CREAT | os.O_RDWR), fcntl.LOCK_EX)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", dead, str(path)]).returncode == -9
    assert path.is_socket()

    async def body(client: LocalClient) -> None:
        assert await client.request("GET", "/status")

    with_api(path, body)
    assert not path.exists()


def test_a_second_daemon_is_refused_and_the_first_goes_on(path: Path) -> None:
    async def body(client: LocalClient) -> None:
        with pytest.raises(TiermemError, match="another daemon is listening there"):
            async with serving(path):
                pass
        assert await client.request("GET", "/status")

    with_api(path, body)


def test_a_file_in_the_sockets_place_is_kept(path: Path) -> None:
    async def run() -> None:
        async with serving(path):
            pass

    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(TiermemError, match="is not a socket"):
        asyncio.run(run())
    assert path.read_text() == "precious"


def test_a_path_where_nothing_can_be_made() -> None:
    async def run() -> None:
        async with serving(Path("/proc/tiermem/m5.sock")):
            pass

    with pytest.raises(MissingError, match=r"/proc/tiermem/m5\.sock: the socket cannot be made"):
        asyncio.run(run())


def test_no_daemon_says_how_to_start_one(path: Path) -> None:
    with pytest.raises(MissingError, match=r"no m5 daemon is listening .*systemctl start"):
        LocalClient(path).get("/status")


def test_a_daemon_that_does_not_answer(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(path))
        deaf.listen()
        with pytest.raises(TimeoutExpiredError, match=r"no answer within 0\.2 s"):
            LocalClient(path, timeout_s=0.2).get("/status")
