"""A restored process as whoever restored it sees it: how it ends, and what is left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Ghost, Note, restore
from tiermem.errors import ProcessGoneError, TimeoutExpiredError

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import GO_ON, Cloner
from tests.unit.cxlfork.targets import eventually

SLEEPING = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)\n"


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_runs_under_its_own_pid_beside_its_parent(start: Starter, cloner: Cloner) -> None:
    target = start(SLEEPING, python=True)
    assert target.line() == "ready"
    clone = cloner.restore(cloner.take(target))
    process = clone.process
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert f"NSpid:\t{process.pid}\t{target.pid}\n" in status
    assert bool(process.notes & Note.LAZY_PAGES) == stat.S_ISREG(cloner.pool.path.stat().st_mode)
    assert set(process.phases) == {
        "image",
        "descriptors",
        "memory",
        "threads",
        "attributes",
        "registers",
    }
    assert 0 < sum(process.phases.values()) < 10_000_000_000
    assert process.poll() is None
    with pytest.raises(TimeoutExpiredError, match="has not ended"):
        process.wait(0.01)


def test_the_way_it_ends_is_told(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    target = start(
        f"{GO_ON}print('ready', flush=True)\nwait_for(sys.argv[1])\nsys.exit(9)\n",
        tmp_path / "go",
        python=True,
    )
    assert target.line() == "ready"
    source = cloner.take(target)
    first, second, third = (cloner.restore(source).process for _ in range(3))
    second.signal(signal.SIGTERM)
    assert second.wait(20) == -signal.SIGTERM
    with pytest.raises(ProcessGoneError):
        second.signal(signal.SIGTERM)
    assert third.kill() == -signal.SIGKILL
    assert first.poll() is None
    (tmp_path / "go").touch()
    assert first.wait(20) == 9
    assert target.wait() == 9
    assert not any(exists(one.pid) or exists(one.init_pid) for one in (first, second, third))


def test_one_image_makes_many_one_after_the_other(start: Starter, cloner: Cloner) -> None:
    target = start("threads")
    assert target.line() == "ready"
    source = cloner.take(target)
    for _ in range(20):
        process = cloner.restore(source).process
        process.signal(signal.SIGUSR1)
        assert process.wait(20) == 0
    assert target.is_running()


def test_what_it_started_ends_with_it(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    target = start(
        f"{GO_ON}import subprocess\nprint('ready', flush=True)\nwait_for(sys.argv[1])\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        "print(os.readlink('/proc/self'), child.poll(), flush=True)\ntime.sleep(1000)\n",
        tmp_path / "go",
        python=True,
    )
    assert target.line() == "ready"
    clone = cloner.restore(cloner.take(target))
    target.end()
    (tmp_path / "go").touch()
    assert clone.line() == f"{target.pid} None"
    [child] = (
        Path(f"/proc/{clone.process.pid}/task/{clone.process.pid}/children").read_text().split()
    )
    assert exists(int(child))
    clone.process.kill()
    assert not exists(int(child))


@pytest.mark.parametrize("die_alone", [True, False])
def test_it_outlives_whoever_restored_it_unless_told(
    die_alone: bool, start: Starter, cloner: Cloner
) -> None:
    target = start(SLEEPING, python=True)
    assert target.line() == "ready"
    process = cloner.restore(cloner.take(target), die_alone=die_alone).process
    process._ghost.control.close()
    if die_alone:
        eventually(lambda: not exists(process.pid), "it has ended")
    else:
        assert exists(process.pid)
    os.kill(process.init_pid, signal.SIGKILL)
    os.waitpid(process.init_pid, 0)
    process._exit_status = 0


def test_a_ghost_that_is_not_used_leaves_nothing() -> None:
    with Ghost() as ghost:
        assert exists(ghost.pid)
        folder = f"/proc/{ghost.pid}/fd"
        eventually(lambda: os.listdir(folder) == ["3"], "it has closed what it inherited")  # noqa: PTH208
    assert not exists(ghost.pid)


def test_a_ghost_ends_with_whoever_made_it() -> None:
    text = "from tiermem.cxlfork.restore import Ghost\nprint(Ghost().pid, flush=True)\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    eventually(lambda: not exists(int(done.stdout)), "it has ended")


def test_a_ghost_that_was_killed_is_named(start: Starter, cloner: Cloner) -> None:
    target = start(SLEEPING, python=True)
    assert target.line() == "ready"
    source = cloner.take(target)
    ghost = Ghost()
    os.kill(ghost.pid, signal.SIGKILL)
    with pytest.raises(ProcessGoneError, match=str(ghost.pid)):
        restore(source, ghost, Policy.MOW, (0, 1, 2))
