"""Whoever makes a process from its image may be killed at any moment: that is told, and
nothing is left, of neither the restorer nor the process that it was making."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Ghost, Source, restore
from tiermem.errors import TiermemError, TimeoutExpiredError

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import Cloner

STEP = 16
"""Of some hundred system calls, each of that many is tried."""
PATIENCE_S = 20.0


def restore_killed(source: Source, killer: Path, *how: str) -> tuple[str, TiermemError | None]:
    """What programs/killer.c did, and how the restore failed, if it did."""
    ghost = Ghost()
    with subprocess.Popen(
        [killer, str(ghost.pid), *how], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        failure = None
        try:
            restore(source, ghost, Policy.MOW, (0, 1, 2), timeout_s=PATIENCE_S).kill()
        except TiermemError as error:
            failure = error
        assert not Path(f"/proc/{ghost.pid}").exists()
        return process.stdout.readline().partition(" ")[0], failure


@pytest.mark.parametrize(
    ("counted", "victim"),
    [
        ("restorer", "restorer"),
        ("restorer", "process"),
        ("process", "restorer"),
        ("process", "process"),
    ],
)
def test_killed_before_any_system_call(
    counted: str,
    victim: str,
    compiled: Callable[[str], Path],
    start: Starter,
    cloner: Cloner,
) -> None:
    target = start("threads")
    assert target.line() == "ready"
    source = cloner.take(target)
    before = cloner.pool.entries(unfinished=True)
    kills = 0
    for call in count(1, STEP):
        how, failure = restore_killed(source, compiled("killer"), counted, victim, str(call))
        if how != "killed" or failure is None:
            break  # it was made
        kills += 1
        assert not isinstance(failure, TimeoutExpiredError), call
    assert kills > 1
    assert cloner.pool.entries(unfinished=True) == before
    clone = cloner.restore(source)
    clone.process.signal(signal.SIGUSR1)
    assert clone.process.wait(PATIENCE_S) == 0
