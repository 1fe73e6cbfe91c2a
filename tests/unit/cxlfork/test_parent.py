"""A process that is taken goes on as if nothing had been."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.targets import eventually

CALLS = (
    "read",
    "epoll_wait",
    "futex",
    "futex with a timeout",
    "nanosleep",
    "poll",
    "ppoll",
    "select",
    "sigtimedwait",
)
ROUNDS = 8


class Seen:
    """The file of programs/waiting.c."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _word(self, form: str, at: int) -> int:
        data = self._path.read_bytes() if self._path.exists() else b""
        return struct.unpack_from(form, data, at)[0] if len(data) > at else 0

    @property
    def spins(self) -> int:
        return self._word("<Q", 0)

    @property
    def wrong_sums(self) -> int:
        return self._word("<Q", 8)

    @property
    def waiting(self) -> int:
        return self._word("<i", 20)

    def calls(self) -> dict[str, tuple[int, int, int]]:
        """For each: whether it is back, its result and errno."""
        data = self._path.read_bytes()
        return {name: struct.unpack_from("<3i", data, 24 + 12 * i) for i, name in enumerate(CALLS)}

    def go(self) -> None:
        with self._path.open("r+b") as file:
            file.seek(16)
            file.write(b"\1")


def test_calls_that_wait_go_on_waiting_and_registers_are_kept(
    pool: Pool, start: Starter, tmp_path: Path
) -> None:
    seen = Seen(tmp_path / "seen")
    target = start("waiting", tmp_path / "seen")
    eventually(lambda: seen.waiting == len(CALLS) and seen.spins, "all wait")
    for number in range(ROUNDS):
        before = seen.spins
        checkpoint(pool, target.pid, f"round-{number}")
        eventually(lambda before=before: seen.spins > before + 1, "it computes")
    back = {name: call for name, call in seen.calls().items() if call[0] and name != "nanosleep"}
    assert back == {}
    seen.go()
    assert target.wait() == 0
    assert {name: call[1] for name, call in seen.calls().items()} == dict.fromkeys(CALLS, 1)
    assert seen.wrong_sums == 0


@pytest.mark.parametrize("state", ["S", "T"])
def test_it_is_in_the_state_that_it_was_in(pool: Pool, start: Starter, state: str) -> None:
    import os
    import signal

    target = start("import time\nprint(1, flush=True)\ntime.sleep(100)", python=True)
    target.line()
    if state == "T":
        os.kill(target.pid, signal.SIGSTOP)
    eventually(lambda: target.state == state, "its state")
    checkpoint(pool, target.pid, "it")
    eventually(lambda: target.state == state, "its state again")
    assert target.status("TracerPid") == "0"
