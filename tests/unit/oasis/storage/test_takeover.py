"""Backends and frontends that are killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import TiermemError, TimeoutExpiredError
from tiermem.oasis.channel import Receiver, Sender
from tiermem.oasis.storage.backend import Backend, BackendSettings
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status
from tiermem.oasis.storage.slices import Slice

from tests.unit.oasis.storage.hosts import DISK_BYTES, SIZE, Hosts, read, run, write
from tests.unit.oasis.storage.test_hostile import COMMANDS_AT, COMPLETIONS_AT, message

BLOCK = 4096
BLOCKS = DISK_BYTES // BLOCK


@contextmanager
def backend_process(folder: Path, *links: str) -> Iterator[subprocess.Popen[str]]:
    """backend_process.py, once it serves; killed in the end."""
    program = str(Path(__file__).with_name("backend_process.py"))
    process = subprocess.Popen(
        [sys.executable, program, str(folder), *links],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


class Writer:
    """Writes versions of blocks, each in one command at a time, and knows what was promised."""

    def __init__(self, frontend: Frontend, seed: int) -> None:
        self.frontend = frontend
        self._rng = np.random.default_rng(seed)
        self._versions = np.zeros(BLOCKS, np.uint64)
        self.acknowledged = np.zeros(BLOCKS, np.uint64)
        self._in_flight: dict[int, int] = {}

    def fill(self) -> None:
        """As many commands in flight as there are tags."""
        while self.frontend.pending < self.frontend.tags:
            lba = int(self._rng.integers(BLOCKS))
            if lba in self._in_flight.values():
                continue
            self._versions[lba] += 1
            data = np.full(BLOCK // 8, self._versions[lba], np.uint64).tobytes()
            is_fua = bool(self._rng.integers(2))
            tag = self.frontend.submit(Request(Opcode.WRITE, lba, 1, is_fua=is_fua), data)
            self._in_flight[tag] = lba

    def take(self, timeout_s: float) -> int:
        """How many writes were acknowledged."""
        done = self.frontend.wait(timeout_s)
        for completion in done:
            assert completion.status is Status.OK
            lba = self._in_flight.pop(completion.tag)
            self.acknowledged[lba] = self._versions[lba]
        return len(done)

    def versions_on(self, disk: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
        """Of each block; a block that is torn is a failure."""
        words = np.fromfile(disk, np.uint64).reshape(BLOCKS, -1)
        assert (words == words[:, :1]).all()
        return words[:, 0]


def test_nothing_acknowledged_is_lost_when_backends_are_killed(hosts: Hosts) -> None:
    """Four of them, one after the other; what is pending goes on with the next."""
    with ExitStack() as stack:
        areas = [stack.enter_context(hosts.link(f"link {n}"))[0] for n in range(4)]
        writer = Writer(stack.enter_context(Frontend(areas[0])), seed=1)
        for number, area in enumerate(areas):
            if number:
                writer.frontend.reconnect(area)
                assert writer.frontend.pending == SIZE.tags
            with backend_process(hosts.folder, area.entry.name, "0", str(DISK_BYTES)) as process:
                end_s = time.monotonic() + 0.2
                while time.monotonic() < end_s:
                    writer.fill()
                    writer.take(timeout_s=5)
                writer.fill()
                process.kill()
                process.wait()
                while writer.take(timeout_s=0):
                    pass
                writer.fill()
            assert (writer.versions_on(hosts.disk) >= writer.acknowledged).all()
        stack.enter_context(hosts.link("last"))
        last = stack.enter_context(hosts.back.open_area("last"))
        with Backend(BackendSettings(path=hosts.disk)) as backend:
            backend.add_link(last, {0: Slice(0, DISK_BYTES)})
            writer.frontend.reconnect(last)
            while writer.frontend.pending:
                assert writer.take(timeout_s=20)
            assert run(writer.frontend, Request(Opcode.FLUSH)).status is Status.OK
        assert (writer.versions_on(hosts.disk) == writer.acknowledged).all()
        assert writer.frontend.counters.resubmitted == 4 * SIZE.tags


FRONTEND = """
import sys
from pathlib import Path
from tiermem.layer.pool import open_pool
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request
folder = Path(sys.argv[1])
with open_pool(folder / "pool", 0, run_dir=folder / "run0") as pool, pool.open_area("gone") as area:
    frontend = Frontend(area)
    print("ready", flush=True)
    while True:
        for lba in range(frontend.tags - frontend.pending):
            frontend.submit(Request(Opcode.WRITE, lba, 1), b"g" * 4096)
        frontend.wait(1)
"""
"""Writes without end, at its slice's begin."""


def test_a_frontend_that_is_killed_leaves_the_others_served(hosts: Hosts) -> None:
    """It does not take the answers to what it sent, and stores no more."""
    half = DISK_BYTES // 2
    with (
        hosts.link("gone") as (_, theirs),
        hosts.link("other") as (our_other, their_other),
        Backend(BackendSettings(path=hosts.disk)) as backend,
        Frontend(our_other) as other,
    ):
        link = backend.add_link(theirs, {0: Slice(0, half)})
        backend.add_link(their_other, {0: Slice(half, half)})
        process = subprocess.Popen(
            [sys.executable, "-c", FRONTEND, str(hosts.folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not backend.counters(link).completed:
            assert write(other, 0, b"o" * BLOCK) is Status.OK
        process.kill()
        process.communicate()
        for lba in range(20):
            assert write(other, lba, b"o" * BLOCK) is Status.OK
        backend.remove_link(link)
        # Its slice is another's when it comes back.
        with hosts.link("back") as (ours_again, theirs_again), Frontend(ours_again) as back:
            again = backend.add_link(theirs_again, {0: Slice(0, half)})
            assert read(back, 0, 1) == b"g" * BLOCK
            backend.remove_link(again)


def test_a_command_of_a_silent_backend_fails_in_its_time(hosts: Hosts) -> None:
    with hosts.link("silent") as (ours, _), Frontend(ours, timeout_s=0.2) as frontend:
        begin_s = time.monotonic()
        tag = frontend.submit(Request(Opcode.READ, 0, 1))
        (done,) = frontend.wait(timeout_s=20)
        assert (done.tag, done.status) == (tag, Status.PATH_ERROR)
        assert 0.2 <= time.monotonic() - begin_s < 5
        # The backend may still run it: nothing else is asked of that backend.
        with pytest.raises(TimeoutExpiredError):
            frontend.submit(Request(Opcode.FLUSH))
        with hosts.link("next") as (our_next, their_next):
            frontend.reconnect(our_next)
            with Backend(BackendSettings(path=hosts.disk)) as backend:
                backend.add_link(their_next, {0: Slice(0, DISK_BYTES)})
                assert write(frontend, 0, b"x" * BLOCK) is Status.OK
        assert frontend.counters.timed_out == 1


def test_a_backend_that_answers_too_late_is_asked_again_after_that(hosts: Hosts) -> None:
    with (
        hosts.link("late") as (ours, theirs),
        Frontend(ours, timeout_s=0.05) as frontend,
        Sender(theirs, COMPLETIONS_AT) as sender,
        Receiver(theirs, COMMANDS_AT) as receiver,
    ):
        tag = frontend.submit(Request(Opcode.FLUSH))
        assert frontend.wait(timeout_s=20)[0].status is Status.PATH_ERROR
        serial = int(receiver.wait(1, timeout_s=20)[0, 4])
        sender.send(message("completion", tag=tag, serial=serial))
        sender.flush()
        assert frontend.wait(timeout_s=0.01) == []
        assert frontend.submit(Request(Opcode.FLUSH)) == tag


def test_commands_wait_for_the_next_backend_without_a_limit(hosts: Hosts) -> None:
    """A pending write is resubmitted with its data, which lies in the old link."""
    with (
        hosts.link("first") as (ours, _),
        hosts.link("second") as (our_second, their_second),
        Frontend(ours) as frontend,
    ):
        tag = frontend.submit(Request(Opcode.WRITE, 3, 2), b"w" * 2 * BLOCK)
        assert frontend.wait(timeout_s=0.05) == []
        with pytest.raises(TiermemError, match="another one"):
            frontend.reconnect(ours)
        frontend.reconnect(our_second)
        with Backend(BackendSettings(path=hosts.disk)) as backend:
            backend.add_link(their_second, {0: Slice(0, DISK_BYTES)})
            (done,) = frontend.wait(timeout_s=20)
            assert (done.tag, done.status) == (tag, Status.OK)
            assert read(frontend, 3, 2) == b"w" * 2 * BLOCK


def test_ends_that_were_closed_say_so(hosts: Hosts) -> None:
    with hosts.link("link") as (ours, theirs):
        frontend, backend = Frontend(ours), Backend(BackendSettings(path=hosts.disk))
        for end in (frontend, backend):
            end.close()
            end.close()
        with pytest.raises(TiermemError, match="closed"):
            frontend.wait()
        with pytest.raises(TiermemError, match="closed"):
            backend.add_link(theirs, {})


def test_links_come_and_go_while_commands_run(hosts: Hosts) -> None:
    half = DISK_BYTES // 2
    with hosts.link("busy") as (ours, theirs), Backend(BackendSettings(path=hosts.disk)) as backend:
        backend.add_link(theirs, {0: Slice(0, half)})
        is_over = threading.Event()
        writes = 0

        def go_on() -> None:
            nonlocal writes
            with Frontend(ours) as frontend:
                while not is_over.is_set():
                    assert write(frontend, writes % 8, b"x" * BLOCK) is Status.OK
                    writes += 1

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            for number in range(5):
                with hosts.link(f"short {number}") as (mine, its), Frontend(mine) as frontend:
                    link = backend.add_link(its, {0: Slice(half, half)})
                    assert write(frontend, 0, bytes([number]) * BLOCK) is Status.OK
                    backend.remove_link(link)
        finally:
            is_over.set()
            thread.join()
        assert writes
