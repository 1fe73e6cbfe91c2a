"""A process that is taken goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.seen import CALLS, Seen
from tests.unit.cxlfork.targets import eventually

ROUNDS = 8


def test_calls_that_wait_go_on_waiting_and_registers_are_kept(
    pool: Pool, start: Starter, tmp_path: Path
) -> None:
    seen = Seen(tmp_path / "seen")
    target = start("waiting", tmp_path / "seen")
    eventually(lambda: seen.all_wait, "all wait")
    for number in range(ROUNDS):
        before = seen.spins
        checkpoint(pool, target.pid, f"round-{number}")
        eventually(lambda before=before: seen.spins > before + 1, "it computes")
    assert seen.back() == []
    seen.go()
    assert target.wait() == 0
    assert seen.results() == dict.fromkeys(CALLS, 1)
    assert seen.wrong_sums == 0


def test_signals_that_come_meanwhile_are_delivered_afterwards(
    pool: Pool, start: Starter, tmp_path: Path
) -> None:
    target = start("counting", tmp_path / "seen")
    target.line()
    sent = 0
    is_over = threading.Event()

    def send() -> None:
        nonlocal sent
        while not is_over.is_set():
            os.kill(target.pid, signal.SIGRTMIN)
            sent += 1
            time.sleep(0.0002)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for number in range(ROUNDS):
            checkpoint(pool, target.pid, f"round-{number}")
    finally:
        is_over.set()
        sender.join()
    seen = tmp_path / "seen"
    eventually(lambda: int.from_bytes(seen.read_bytes(), "little") == sent, "all have come")
    assert sent > ROUNDS


@pytest.mark.parametrize("state", ["S", "T"])
def test_it_is_in_the_state_that_it_was_in(pool: Pool, start: Starter, state: str) -> None:
    target = start("import time\nprint(1, flush=True)\ntime.sleep(100)", python=True)
    target.line()
    if state == "T":
        os.kill(target.pid, signal.SIGSTOP)
    eventually(lambda: target.state == state, "its state")
    checkpoint(pool, target.pid, "it")
    eventually(lambda: target.state == state, "its state again")
    assert target.status("TracerPid") == "0"
