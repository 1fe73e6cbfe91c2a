"""cxlforkd may be killed at any moment: a process that was being taken goes on, one that was
being restored is known to the next daemon or gone, and the pool comes clean."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import image_name, open_image
from tiermem.layer.pool import Pool, create_pool, open_pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.targets import Target, eventually

KILLS = int(os.environ.get("TIERMEM_TEST_KILLS", "16"))
"""Of all calls into C that the daemon makes, some thousands."""


@dataclass(frozen=True)
class Left:
    """What a daemon left when it had ended."""

    was_killed: bool
    calls: int
    known_clones: int
    other_clones: int


class Daemons:
    """killed_daemons.py, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, what: str, kill_at: int = 0) -> Left:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {kill_at}\n")
        self._process.stdin.flush()
        how, calls, known, other = self._process.stdout.readline().split()
        return Left(how == "killed", int(calls), int(known), int(other))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    """As a neighbour of the daemon on its host has it."""
    create_pool(tmp_path / "pool", hosts=1, entries=8, size=32 << 20)
    with open_pool(tmp_path / "pool", 0) as opened:
        yield opened


@pytest.fixture
def counter(start: Starter, tmp_path: Path) -> Target:
    """A process that appends to a file all the time."""
    return start("counter", tmp_path / "numbers", 10_000_000)


@pytest.fixture
def daemons(pool: Pool, counter: Target, tmp_path: Path) -> Iterator[Daemons]:
    script = Path(__file__).with_name("killed_daemons.py")
    arguments = [str(pool.path), str(tmp_path / "state.json"), str(counter.pid)]
    with subprocess.Popen(
        [sys.executable, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Daemons(process)
        assert process.stdin is not None
        process.stdin.close()


def spread(calls: int) -> list[int]:
    """Which calls it is killed before: some anywhere, and as many ever closer to the end, where
    what it has done becomes known."""
    anywhere = np.linspace(1, calls, KILLS - KILLS // 2)
    late = calls + 1 - np.geomspace(1, calls, KILLS // 2)
    return sorted({int(call) for call in (*anywhere, *late)})


def test_killed_while_it_takes_a_process(
    pool: Pool, counter: Target, daemons: Daemons, tmp_path: Path
) -> None:
    numbers = tmp_path / "numbers"

    def goes_on() -> None:
        before = numbers.stat().st_size
        eventually(lambda: numbers.stat().st_size > before, "it goes on counting")
        assert counter.status("TracerPid") == "0"

    def forget() -> bool:
        """Whether there was an image, which must be whole then."""
        pool.collect()
        found = pool.entries(unfinished=True)
        assert [one.name for one in found] in ([], [image_name("it")])
        if found:
            with open_image(pool, "it") as image:
                assert image.process.pid == counter.pid
            pool.remove(image_name("it"))
            assert pool.collect() == 1
        return bool(found)

    whole = daemons.run("checkpoint")
    assert not whole.was_killed
    assert forget()
    published = []
    for call in spread(whole.calls):
        if not daemons.run("checkpoint", call).was_killed:
            break  # it needed fewer calls this time
        goes_on()
        published.append(forget())
    # Once it is published it stays, and not before.
    assert published == sorted(published)
    assert not published[0]
    assert len(published) >= KILLS // 2


def test_killed_while_it_restores_a_process(pool: Pool, counter: Target, daemons: Daemons) -> None:
    checkpoint(pool, counter.pid, "it")
    counter.end()
    whole = daemons.run("restore")
    assert (whole.was_killed, whole.known_clones, whole.other_clones) == (False, 1, 0)
    known = []
    for call in spread(whole.calls):
        left = daemons.run("restore", call)
        assert left.other_clones == 0, call
        if not left.was_killed:
            break
        known.append(left.known_clones)
    assert known == sorted(known)
    assert known[0] == 0
    assert len(known) >= KILLS // 2
    assert daemons.run("restore").known_clones == 1
    pool.remove(image_name("it"))
    pool.collect()
    assert pool.entries(unfinished=True) == []
