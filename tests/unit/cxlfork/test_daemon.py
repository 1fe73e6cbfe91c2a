"""cxlforkd through its API: what it restores goes on without it, and is known to the next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiermem.cxlfork.image import image_name
from tiermem.cxlfork.restoring.cgroups import Cgroups
from tiermem.errors import DamagedError, MissingError, TiermemError
from tiermem.layer.pool import create_pool, open_pool
from tiermem.layer.pool.local import process_identity
from tiermem.service.client import LocalClient

from tests.unit.cxlfork.fork_daemon import Daemon, start_daemon, stop, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="other processes are root's to trace")

MIB = 1 << 20
# Long enough for a busy machine, and shorter than usual.
LEASE_S = 2.0
# A line is one write, also where PYTHONUNBUFFERED is set: two clones write into one file.
COUNTER = """
import os, time
n = 0
while True:
    n += 1
    os.write(1, b"%d\\n" % n)
    time.sleep(0.02)
"""
ASKER = "print('got', input(), flush=True); raise SystemExit(3)"
Starter = Callable[..., tuple[Daemon, LocalClient]]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool"
    create_pool(path, hosts=2, entries=8, size=128 * MIB, lease_s=LEASE_S)
    return path


@pytest.fixture
def start(tmp_path: Path, pool: Path) -> Iterator[Starter]:
    """Starts cxlforkd of host 0; all that it restored is ended afterwards."""
    with ExitStack() as stack:
        yield lambda **changes: start_daemon(stack, tmp_path, pool, **changes)


@pytest.fixture
def counter(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A process that counts into a file, and the file."""
    file = tmp_path / "count"
    null = subprocess.DEVNULL
    with file.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTER], stdin=null, stdout=out, stderr=null
        )
    until(lambda: len(file.read_text().split()) > 3)
    yield process.pid, file
    process.kill()
    process.wait()


def test_a_host_that_was_taken_for_dead_ends_what_it_lost_and_goes_on(
    start: Starter, counter: tuple[int, Path], pool: Path
) -> None:
    """While it stands still another host removes one of two images, and their memory."""
    daemon, client = start()
    kept, lost = [], []
    for name, clones in (("kept", kept), ("lost", lost)):
        client.post("/v1/checkpoint", {"pid": counter[0], "name": name})
        clones += [one["pid"] for one in client.post("/v1/restore", {"name": name})]
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        with open_pool(pool, 1) as other:
            other.remove(image_name("lost"))
            until(lambda: other.collect() > 0)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert daemon.wait(20) == 1
    assert not any(map(is_gone, kept + lost))
    _, client = start()
    assert [one["pid"] for one in client.get("/v1/clones")] == kept
    assert all(map(is_gone, lost))
    client.post("/v1/restore", {"name": "kept"})


def is_gone(pid: int) -> bool:
    return process_identity(pid) is None


def test_a_process_is_taken_and_restored_and_goes_on_where_it_was(
    start: Starter, counter: tuple[int, Path]
) -> None:
    _, client = start()
    pid, file = counter
    taken = client.post("/v1/checkpoint", {"pid": pid, "name": "count"})
    assert taken["image_bytes"] > MIB
    until(lambda: client.get("/v1/images")[0]["state"] == "good")
    os.kill(pid, signal.SIGKILL)
    # What it was writing when it was killed comes before that.
    until(lambda: is_gone(pid))
    before = file.read_text().split()
    clones = client.post("/v1/restore", {"name": "count", "count": 2})

    def counted() -> Counter[int]:
        return Counter(map(int, file.read_text().split()[len(before) :]))

    # Both go on from the same number, so that each comes twice.
    begin = min(until(counted))
    assert begin <= int(before[-1]) + 1
    until(
        lambda: all(counted()[n] == 2 for n in range(begin, begin + 5)),
        told=lambda: (before, file.read_text().split(), client.get("/v1/clones")),
    )
    for clone in clones:
        client.post("/v1/end", {"pid": clone["pid"]})
    assert client.get("/v1/image", {"name": "count"})["threads"] == 1


def test_it_gets_the_descriptors_of_whoever_asks_and_its_exit_status_is_told(
    start: Starter, tmp_path: Path
) -> None:
    _, client = start()
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: "read" in Path(f"/proc/{asker.pid}/wchan").read_text())
    client.post("/v1/checkpoint", {"pid": asker.pid, "name": "ask"})
    asker.communicate(b"parent\n")
    for word in (b"one", b"other"):
        ours_in, theirs_in = os.pipe()
        theirs_out, ours_out = os.pipe()
        body = {"name": "ask", "stdio_of": os.getpid(), "stdio_fds": [ours_in, ours_out, 2]}
        (clone,) = client.post("/v1/restore", body)
        os.close(ours_in)
        os.close(ours_out)
        os.write(theirs_in, word + b"\n")
        with os.fdopen(theirs_out, "rb") as answer:
            assert answer.readline() == b"got " + word + b"\n"
        until(lambda: client.get("/v1/clones") == [])
        assert client.get("/v1/wait", {"pid": str(clone["pid"])}) == {"status": 3}
        os.close(theirs_in)


def test_a_daemon_that_is_killed_leaves_its_clones_to_the_next(
    start: Starter, counter: tuple[int, Path], pool: Path, tmp_path: Path
) -> None:
    daemon, client = start()
    client.post("/v1/checkpoint", {"pid": counter[0], "name": "count"})
    (clone,) = client.post("/v1/restore", {"name": "count"})
    stop(daemon, signal.SIGKILL)
    assert process_identity(clone["pid"]) is not None
    _, client = start()
    assert [one["pid"] for one in client.get("/v1/clones")] == [clone["pid"]]
    client.post("/v1/remove", {"name": "count"})
    time.sleep(1.25 * LEASE_S)
    with open_pool(pool) as looker:
        assert len(looker.entries(unfinished=True)) == 1  # the clone's pages
        client.post("/v1/end", {"pid": clone["pid"]})
        until(lambda: not looker.entries(unfinished=True))
    until(lambda: client.get("/v1/clones") == [])


def test_each_clone_has_a_cgroup_that_outlives_the_daemon_and_ends_with_the_clone(
    start: Starter, counter: tuple[int, Path]
) -> None:
    """Those of ghosts that nobody came to use are swept by the next daemon."""
    base = Cgroups.find().base
    if base is None:
        pytest.skip("no cgroups here")
    daemon, client = start(ghosts=3)
    client.post("/v1/checkpoint", {"pid": counter[0], "name": "count"})
    clones = client.post("/v1/restore", {"name": "count", "count": 2})

    def group_of(pid: int) -> Path:
        (line,) = [
            line
            for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()
            if line.startswith("0::")
        ]
        return base / Path(line).name

    groups = {clone["pid"]: group_of(clone["pid"]) for clone in clones}
    assert len({*groups.values(), group_of(daemon.pid)}) == 3
    until(lambda: client.get("/v1/status")["ghosts"] == 3)
    made = list(base.glob(f"tiermem-{groups[clones[0]['pid']].name.split('-')[1]}-*"))
    assert len(made) == 5
    stop(daemon, signal.SIGKILL)
    _, client = start()
    until(
        lambda: (
            [one for one in made if one.exists()] == [one for one in made if one in groups.values()]
        )
    )
    for pid in groups:
        client.post("/v1/end", {"pid": pid})
    until(lambda: not any(one.exists() for one in made))


@pytest.mark.parametrize("ends", [False, True], ids=["go on", "end"])
def test_clones_go_on_when_it_stops_unless_they_are_to_end(
    start: Starter, counter: tuple[int, Path], ends: bool
) -> None:
    daemon, client = start(end_clones_at_exit=str(ends).lower())
    client.post("/v1/checkpoint", {"pid": counter[0], "name": "count"})
    (clone,) = client.post("/v1/restore", {"name": "count"})
    stop(daemon)
    try:
        if ends:
            until(lambda: process_identity(clone["pid"]) is None)
        else:
            assert process_identity(clone["pid"]) is not None
    finally:
        if not ends:
            os.kill(clone["init_pid"], signal.SIGKILL)


def test_what_cannot_be_restored_is_said_and_leaves_nothing(
    start: Starter, counter: tuple[int, Path], pool: Path
) -> None:
    _, client = start(clones_max=2, verify_ahead="false")
    with pytest.raises(MissingError, match="has no image 'nothing'; it has none"):
        client.post("/v1/restore", {"name": "nothing"})
    client.post("/v1/checkpoint", {"pid": counter[0], "name": "count"})
    with pytest.raises(TiermemError, match="clones_max allows 2"):
        client.post("/v1/restore", {"name": "count", "count": 3})
    with open_pool(pool) as looker:
        entry = looker.find(image_name("count"))
    assert entry is not None
    with pool.open("r+b") as file:
        file.seek(entry.offset + entry.bytes - 1)
        file.write(b"\xa5")
    with pytest.raises(DamagedError, match=r"'fork/count' is damaged"):
        client.post("/v1/restore", {"name": "count"})
    assert client.get("/v1/clones") == []
    assert client.get("/v1/status")["totals"]["failures"] == 2


def test_a_wrong_request_is_told_what_is_wrong(start: Starter) -> None:
    _, client = start(ghosts=0)
    for route, body, said in (
        ("/v1/checkpoint", {"name": "x"}, "checkpoint: pid: is missing"),
        ("/v1/restore", {"name": "x", "policy": "mov"}, "restore: policy = "),
        ("/v1/restore", {"name": "x", "count": 0}, "must be at least 1"),
        ("/v1/restore", {"name": "x", "memory_MiB": 0}, "restore: memory_MiB = 0"),
        ("/v1/end", {"pid": 1}, "process 1: was not restored by this daemon"),
    ):
        with pytest.raises(TiermemError, match=said):
            client.post(route, body)
