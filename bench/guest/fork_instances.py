"""A running function as the one who asks it sees it; and how one starts cold or by fork."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.guest.fork_process import CALL, FORK, NUMBER, WAKE
from bench.guest.fork_spec import Memory
from bench.guest.processes import RunError

# Copies: what a start reads should be the guest's own files, not shared ones.
FOLDER = Path("/run/fork-bench")
PROGRAM = FOLDER / "fork_process.py"
COMPLAINTS = FOLDER / "complaints"
FORKED = FOLDER / "forked"
_COMPILED = "/var/cache/tiermem-pycache"


@dataclass(frozen=True)
class Pipes:
    """Both ends of an instance's two pipes. given: those that it gets as 0 and 1."""

    requests: int
    answers: int
    given: tuple[int, int]

    @staticmethod
    def open() -> Pipes:
        """Two new pipes; the instance is asked to wake up."""
        theirs_in, requests = os.pipe2(os.O_CLOEXEC)
        answers, theirs_out = os.pipe2(os.O_CLOEXEC)
        os.write(requests, WAKE)
        return Pipes(requests, answers, (theirs_in, theirs_out))

    def close_given(self) -> None:
        """Once the instance has them."""
        for fd in self.given:
            os.close(fd)


@dataclass
class Instance:
    """A running one. end: kill it and wait until nothing of it is left."""

    pid: int
    requests: int
    answers: int
    end: Callable[[], None]

    def wait_awake(self) -> None:
        """Until it has done its first useful instruction. RunError where it ends before."""
        if os.read(self.answers, 1) != WAKE:
            raise RunError(f"process {self.pid}: did not wake up: {COMPLAINTS.read_text()[-500:]}")

    def call(self) -> int:
        """One call; the checksum of its answer."""
        os.write(self.requests, CALL)
        return self.number()

    def ask_fork(self) -> None:
        """Demand a child, which answers on the named pipes; `number` has its pid."""
        os.write(self.requests, FORK)

    def number(self) -> int:
        """An answer that was asked for."""
        said = os.read(self.answers, NUMBER.size)
        if len(said) != NUMBER.size:
            said = COMPLAINTS.read_text()[-500:]
            raise RunError(f"process {self.pid}: ended instead of answering: {said}")
        return int(NUMBER.unpack(said)[0])

    def memory(self) -> Memory:
        """What it takes now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if "kB" in line}
        return Memory(sizes["RssAnon"], sizes["RssFile"], sizes["VmPTE"])

    def close(self) -> None:
        """End it."""
        self.end()
        os.close(self.requests)
        os.close(self.answers)


def command(function: str, footprint_mib: int) -> list[str]:
    """How the function is started cold."""
    return [
        "python3",
        str(PROGRAM),
        str(FOLDER / f"{function}.py"),
        str(footprint_mib),
        str(FORKED),
    ]


def start_cold(words: list[str], pipes: Pipes) -> Instance:
    """A process of its own session, as a service's is."""
    with COMPLAINTS.open("ab") as complaints:
        process = subprocess.Popen(
            words,
            stdin=pipes.given[0],
            stdout=pipes.given[1],
            stderr=complaints,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": _COMPILED},
            cwd="/",
        )
    pipes.close_given()

    def end() -> None:
        process.kill()
        process.wait()

    return Instance(process.pid, pipes.requests, pipes.answers, end)


def make_named_pipes() -> tuple[int, int]:
    """For a forked child: where it is asked, and where it answers. Open both ways, so
    that nobody waits for the other to open them."""
    fds = []
    for name in ("in", "out"):
        fifo = Path(f"{FORKED}.{name}")
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        fds.append(os.open(fifo, os.O_RDWR | os.O_CLOEXEC))
    return fds[0], fds[1]


def kill_and_wait(pid: int) -> None:
    """End a process that is not this one's to wait for; returns when its memory is free."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        while _state(pid) != "Z":
            os.sched_yield()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
