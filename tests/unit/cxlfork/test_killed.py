"""Whoever makes a checkpoint may be killed at any moment: the process goes on, and the pool
is as before.

A thread that was just stopped then finds, at worst, that its call was interrupted as by any
stop (signal(7)); the program here expects that of the two calls that can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import pytest
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.seen import CALLS, Seen
from tests.unit.cxlfork.targets import Target, eventually

HERE = Path(__file__).parent
STEP = 7
"""Of several hundred calls of ptrace, each of that many is tried."""
KILLS_MIN = 40


class Killer:
    """killed_checkpoints.py, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def checkpoint(self, when: int | str) -> list[str]:
        """How it ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{when}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().split()


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path / "seen")


@pytest.fixture
def target(start: Starter, seen: Seen, tmp_path: Path) -> Target:
    started = start("waiting", tmp_path / "seen", "patient")
    eventually(lambda: seen.all_wait, "all wait")
    return started


@pytest.fixture
def killer(pool: Pool, target: Target, tmp_path: Path) -> Iterator[Killer]:
    preloaded = tmp_path / "kill_at.so"
    command = ["cc", "-std=gnu99", "-shared", "-fPIC", "-o", preloaded, HERE / "preload/kill_at.c"]
    subprocess.run(command, check=True)
    arguments = [pool.path, tmp_path / "run", target.pid]
    with subprocess.Popen(
        [sys.executable, HERE / "killed_checkpoints.py", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(preloaded)},
    ) as process:
        yield Killer(process)
        assert process.stdin is not None
        process.stdin.close()


def masks(target: Target) -> dict[str, list[str]]:
    """Signal masks of its threads, and who traces them."""
    found = {}
    for path in Path(f"/proc/{target.pid}/task").glob("*/status"):
        lines = path.read_text().splitlines()
        found[path.parent.name] = [x for x in lines if x.startswith(("SigBlk", "TracerPid"))]
    return found


def test_killed_anywhere(pool: Pool, target: Target, seen: Seen, killer: Killer) -> None:
    before = masks(target)
    kills = 0
    for when in chain(["copy", "publish"], count(1, STEP)):
        spins = seen.spins
        if killer.checkpoint(when) != ["killed"]:
            break
        kills += 1
        eventually(lambda spins=spins: seen.spins > spins + 1, f"it computes after {when}")
        eventually(lambda: masks(target).items() <= before.items(), f"its masks after {when}")
        assert seen.back() == [], when
    assert kills > KILLS_MIN
    pool.collect()
    assert pool.entries(unfinished=True) == []
    seen.go()
    assert target.wait() == 0
    assert seen.results() == dict.fromkeys(CALLS, 1)
    assert seen.wrong_sums == 0
