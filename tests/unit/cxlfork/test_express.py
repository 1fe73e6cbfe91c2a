"""Restores by one packet: what is asked for comes, and what nobody should send does no harm."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tiermem.cxlfork.express_client import AskedRestore, express_path
from tiermem.cxlfork.policies import Policy
from tiermem.errors import MissingError, TiermemError
from tiermem.layer.pool import create_pool
from tiermem.service.api import BODY_BYTES_MAX
from tiermem.service.client import LocalClient

from tests.unit.cxlfork.fork_daemon import start_daemon, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other processes are root's to trace")

ASKER = "print('got', input(), flush=True); raise SystemExit(3)"
NOBODY = 65534
ASK_AS_NOBODY = f"""
import os, sys
from pathlib import Path
from tiermem.cxlfork.express_client import AskedRestore
from tiermem.cxlfork.policies import Policy
asked_at = Path(sys.argv[1])
os.setgid({NOBODY})
os.setuid({NOBODY})
try:
    AskedRestore(asked_at, "ask", Policy.MOW).answer()
except Exception as error:
    print(error)
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalClient]:
    """A daemon that has the image "ask", of a process that waits for a line."""
    folder = tmp_path_factory.mktemp("express")
    pool = folder / "pool"
    create_pool(pool, hosts=1, entries=8, size=64 << 20)
    with ExitStack() as stack:
        _, found = start_daemon(stack, folder, pool)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, "-c", ASKER]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) as asker:
            until(lambda: "read" in Path(f"/proc/{asker.pid}/wchan").read_text())
            found.post("/v1/checkpoint", {"pid": asker.pid, "name": "ask"})
            asker.communicate(b"parent\n")
        yield found


def send(client: LocalClient, packet: bytes, fds: list[int]) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(express_path(client.path)))
        socket.send_fds(connection, [packet], fds)
        return connection.recv(BODY_BYTES_MAX)


def files_of_children() -> set[str]:
    """What the processes that this one started have open."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found = set()
    for child in children:
        for fd in Path(f"/proc/{child}/fd").iterdir():
            with suppress(FileNotFoundError):
                found.add(str(fd.readlink()))
    return found


def test_it_runs_with_the_descriptors_that_came_with_the_packet(client: LocalClient) -> None:
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    clone = AskedRestore(client.path, "ask", Policy.MOW, (theirs_in, theirs_out, 2)).answer()
    os.close(theirs_in)
    os.close(theirs_out)
    assert [one["pid"] for one in client.get("/v1/clones")] == [clone["pid"]]
    assert clone["policy"] == "mow"
    assert clone["phases_ns"]["memory"] > 0
    os.write(ours_in, b"line\n")
    with os.fdopen(ours_out, "rb") as answer:
        assert answer.read() == b"got line\n"
    os.close(ours_in)
    assert client.get("/v1/wait", {"pid": str(clone["pid"])}) == {"status": 3}


def test_several_may_ask_at_once_from_an_event_loop(client: LocalClient) -> None:
    async def ask() -> list[dict[str, object]]:
        asked = [AskedRestore(client.path, "ask", Policy.MOW) for _ in range(6)]
        return await asyncio.gather(*(one.answered() for one in asked))

    before = client.get("/v1/status")["totals"]["restores"]
    clones = asyncio.run(ask())
    assert len({clone["pid"] for clone in clones}) == 6
    assert client.get("/v1/status")["totals"]["restores"] == before + 6


def test_a_refusal_says_why(client: LocalClient) -> None:
    with pytest.raises(MissingError, match="nothing"):
        AskedRestore(client.path, "nothing", Policy.MOW).answer()


def test_without_a_daemon_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no fork daemon is listening"):
        AskedRestore(tmp_path / "fork.sock", "ask", Policy.MOW)


def test_only_root_is_served(client: LocalClient) -> None:
    folder = client.path.parent
    folder.chmod(0o701)
    # Named from its folder, it is reached though no folder above lets others in.
    command = [sys.executable, "-c", ASK_AS_NOBODY, client.path.name]
    said = subprocess.check_output(command, cwd=folder, text=True)
    assert said == f"{client.path.name}: to restore needs root\n"


@pytest.mark.parametrize(
    ("packet", "fds", "reason"),
    [
        (b"", 0, "JSON object"),
        (b"[1]", 0, "JSON object"),
        (b"\xff\xfe", 0, "JSON object"),
        (b"[" * 60_000, 0, "JSON object"),
        (b"{}", 0, "restore: name"),
        (b'{"name": "ask", "policy": "mov"}', 0, "restore: policy"),
        (b'{"name": "ask", "memory_MiB": 0}', 0, "restore: memory_MiB"),
        (b'{"name": "ask"}', 2, "2 descriptors"),
        (b'{"name": "ask"}', 5, "3 descriptors"),
        (b" " * (BODY_BYTES_MAX + 1), 0, "more than"),
    ],
)
def test_junk_is_refused_and_nothing_of_it_stays(
    client: LocalClient, packet: bytes, fds: int, reason: str
) -> None:
    own = os.open(__file__, os.O_RDONLY)
    answer = send(client, packet, [own] * fds)
    os.close(own)
    assert reason in answer.decode()
    # The daemon is a child of this process.
    until(lambda: __file__ not in files_of_children())


def test_who_hangs_up_harms_nobody(client: LocalClient) -> None:
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(str(express_path(client.path)))
    with pytest.raises(TiermemError):
        AskedRestore(client.path, "nothing", Policy.MOW).answer()
