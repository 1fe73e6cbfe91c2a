"""Processes of one host, and hosts, that share a pool, are killed, or fall silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiermem.errors import ProcessGoneError
from tiermem.layer.pool import create_pool
from tiermem.layer.pool.directory import State

from tests.unit.pool.conftest import SIZE, Opener

CHILD = """
import os, sys
from pathlib import Path
from tiermem.layer.pool import open_pool
path, host, run_dir = sys.argv[1:]
pool = open_pool(Path(path), int(host), run_dir=Path(run_dir))
"""
LEASE_S, SHORT_LEASE_S = 2.0, 0.5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A pool for two hosts, whose lease is short."""
    made = tmp_path / "pool"
    create_pool(made, hosts=2, entries=8, size=SIZE, lease_s=LEASE_S)
    return made


def child(path: Path, host: int, run_dir: Path, script: str) -> subprocess.Popen[str]:
    """A process of its own that says "ready" when it has done the script, and waits."""
    script = CHILD + script + "\nprint('ready', flush=True); sys.stdin.read()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(host), str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_what_a_killed_process_held_and_began_comes_back(
    opened: Opener, path: Path, tmp_path: Path
) -> None:
    pool = opened(0)
    pool.publish("x", b"1")
    process = child(path, 0, tmp_path / "run0", "held = pool.open('x'); draft = pool.reserve(4096)")
    pool.remove("x")
    assert pool.collect() == 0
    kill(process)
    assert pool.collect() == 1
    assert pool.entries(unfinished=True) == []


def test_a_hosts_first_process_begins_anew(opened: Opener, path: Path, tmp_path: Path) -> None:
    process = child(path, 1, tmp_path / "run1", "draft = pool.reserve(4096)")
    kill(process)
    looker = opened(None)
    assert [one.state for one in looker.entries(unfinished=True)] == [State.RESERVED]
    opened(1)
    assert looker.entries(unfinished=True) == []


def test_a_dead_hosts_holds_do_not_count_and_a_living_ones_do(
    opened: Opener, path: Path, tmp_path: Path
) -> None:
    pool = opened(0)
    pool.publish("x", b"1")
    process = child(path, 1, tmp_path / "run1", "held = pool.open('x'); draft = pool.reserve(9)")
    pool.remove("x")
    deadline_s = time.monotonic() + 1.5 * LEASE_S
    while time.monotonic() < deadline_s:
        assert pool.collect() == 0
        time.sleep(0.1)
    kill(process)
    deadline_s = time.monotonic() + 10
    while pool.entries(unfinished=True):
        pool.collect()
        time.sleep(0.1)
        assert time.monotonic() < deadline_s


def test_a_host_that_was_stopped_too_long_is_told(tmp_path: Path) -> None:
    path = tmp_path / "short"
    create_pool(path, hosts=2, entries=8, size=SIZE, lease_s=SHORT_LEASE_S)
    script = CHILD + (
        "import signal, time\npool.reserve(1)\nos.kill(os.getpid(), signal.SIGSTOP)\n"
        "time.sleep(0.3)\ntry:\n    pool.reserve(1)\nexcept Exception as error:\n    print(error)\n"
    )
    silent = subprocess.Popen(
        [sys.executable, "-c", script, str(path), "1", str(tmp_path / "run1")],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.waitpid(silent.pid, os.WUNTRACED)
    time.sleep(0.8)
    silent.send_signal(signal.SIGCONT)
    said, _ = silent.communicate(timeout=30)
    assert "was silent for" in said


def test_many_processes_of_a_host_share_it(opened: Opener, path: Path, tmp_path: Path) -> None:
    script = "for n in range(20):\n    pool.publish(f'{os.getpid()}', b'1' * 5000)\n" + (
        "    pool.remove(f'{os.getpid()}'); pool.collect()"
    )
    pool = opened(0)
    processes = [child(path, 0, tmp_path / "run0", script) for _ in range(3)]
    for process in processes:
        kill(process)
    pool.collect()
    assert pool.entries(unfinished=True) == []


# --- making one ---


def test_an_extent_may_be_held_for_another_process(
    opened: Opener, path: Path, tmp_path: Path
) -> None:
    """The daemon that holds it may die; the process that uses it goes on."""
    pool = opened(0)
    pool.publish("x", b"1")
    user = subprocess.Popen(["sleep", "60"])
    try:
        script = f"pool.hold_for(pool.open('x').entry.extent, {user.pid})"
        kill(child(path, 0, tmp_path / "run0", script))
        pool.remove("x")
        assert pool.collect() == 0
    finally:
        user.kill()
        user.wait()
    assert pool.collect() == 1


def test_a_host_does_not_begin_anew_while_a_process_uses_what_is_held_for_it(
    opened: Opener, path: Path, tmp_path: Path
) -> None:
    owner = opened(0)
    owner.publish("x", b"1")
    user = subprocess.Popen(["sleep", "60"])
    try:
        script = f"pool.hold_for(pool.open('x').entry.extent, {user.pid})"
        kill(child(path, 1, tmp_path / "run1", script))
        opened(1).collect()
        owner.remove("x")
        assert owner.collect() == 0
    finally:
        user.kill()
        user.wait()


def test_nothing_is_held_for_a_process_that_is_gone(opened: Opener) -> None:
    pool = opened(0)
    pool.publish("x", b"1")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pool.open("x") as extent, pytest.raises(ProcessGoneError):
        pool.hold_for(extent.entry.extent, gone.pid)
