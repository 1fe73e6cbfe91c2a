"""A ghost's cgroup: what is restored into it is limited, weighed and ended by it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiermem.cxlfork.ghosts import Ghosts
from tiermem.cxlfork.restore import Ghost
from tiermem.cxlfork.restoring.cgroups import DAEMON_GROUP, Cgroup, Cgroups, Limits
from tiermem.errors import MissingError
from tiermem.layer.pool.local import process_identity

from tests.unit.cxlfork.targets import eventually

MIB = 1 << 20


@pytest.fixture
def cgroups() -> Cgroups:
    found = Cgroups.find()
    if found.base is None:
        pytest.skip(found.note)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that looks like a cgroup file system with the group `unit` and `unit/daemon`."""
    for folder in (tmp_path / "tree/unit", tmp_path / "tree/unit" / DAEMON_GROUP):
        folder.mkdir(parents=True)
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").touch()
    return tmp_path / "tree"


def of_process(folder: Path, tree: Path, group: str) -> Path:
    """What /proc/self would say of a process in that group."""
    (folder / "mounts").write_text(f"tmpfs /tmp tmpfs rw 0 0\ncgroup2 {tree} cgroup2 rw 0 0\n")
    (folder / "cgroup").write_text(f"4:memory:/elsewhere\n0::{group}\n")
    return folder


@pytest.mark.parametrize("group", ["/unit", f"/unit/{DAEMON_GROUP}"])
def test_groups_lie_beside_the_daemons_own_where_it_has_one_for_itself(
    tmp_path: Path, tree: Path, group: str
) -> None:
    found = Cgroups.find(of_process(tmp_path, tree, group))
    assert (found.base, found.note) == (tree / "unit", "")
    made = found.make()
    assert made is not None
    assert made.path.parent == tree / "unit"
    assert not (tree / "unit" / DAEMON_GROUP / made.path.name).exists()


def test_where_cgroups_are_of_the_old_kind_there_are_none_and_a_note_says_so(
    tmp_path: Path, tree: Path
) -> None:
    proc = of_process(tmp_path, tree, "/unit")
    (proc / "mounts").write_text(f"cgroup {tree} cgroup rw,memory 0 0\n")
    found = Cgroups.find(proc)
    assert (found.make(), found.base) == (None, None)
    assert "cgroup v2 is not mounted" in found.note


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_where_they_may_only_be_read_there_are_none(tmp_path: Path, tree: Path) -> None:
    """As in an ordinary container."""
    of_process(tmp_path, tree, "/unit")
    look = (
        "import sys; from pathlib import Path\n"
        "from tiermem.cxlfork.restoring.cgroups import Cgroups\n"
        "found = Cgroups.find(Path(sys.argv[1])); print(found.make(), found.note)\n"
    )
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3" "$4"'
    words = (str(tree), sys.executable, look, str(tmp_path))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", *words], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"mounts are refused here: {done.stderr}")
    assert done.stdout.startswith("None no cgroups for clones")
    assert "not this process's to write to" in done.stdout


def test_a_controller_that_is_not_to_be_had_is_named(tmp_path: Path, tree: Path) -> None:
    (tree / "unit/cgroup.controllers").write_text("cpu\n")
    (tree / "unit/cgroup.subtree_control").unlink()
    note = Cgroups.find(of_process(tmp_path, tree, "/unit")).note
    assert "not limited in memory, cpu, pids" in note
    assert "has no controllers memory, pids" in note


def test_limits_are_written_as_the_kernel_wants_them(tree: Path) -> None:
    group = Cgroup(tree / "unit")
    for name in ("memory.max", "cpu.max"):
        (group.path / name).touch()
    group.limit(Limits(memory_bytes=48 * MIB, cpus=0.5))
    assert (group.path / "memory.max").read_text() == str(48 * MIB)
    assert (group.path / "cpu.max").read_text() == "50000 100000"


def test_a_limit_that_cannot_be_kept_is_refused(tree: Path) -> None:
    with pytest.raises(MissingError, match=r"has no memory.max: a limit needs a delegated"):
        Cgroup(tree / "unit").limit(Limits(memory_bytes=MIB))
    with Ghost() as ghost, pytest.raises(MissingError, match="there is none here"):
        ghost.limit(Limits(cpus=1.0))


def test_memory_that_nobody_counts_is_not_told(tree: Path) -> None:
    group = Cgroup(tree / "unit")
    assert group.memory_bytes() is None
    (group.path / "memory.current").write_text("12345\n")
    assert group.memory_bytes() == 12345


def test_a_ghost_begins_in_its_own_and_takes_it_along(cgroups: Cgroups) -> None:
    ghosts = Ghosts(2, cgroups)
    ghosts.refill()
    one, other = ghosts.take(), ghosts.take()
    assert one.cgroup is not None
    assert other.cgroup is not None
    assert one.cgroup.path != other.cgroup.path
    assert (one.cgroup.path / "cgroup.procs").read_text() == f"{one.pid}\n"
    one.close()
    assert not one.cgroup.path.exists()
    assert (other.cgroup.path / "cgroup.procs").read_text() == f"{other.pid}\n"
    other.close()
    ghosts.close()


def test_killing_a_group_ends_all_that_is_in_it(cgroups: Cgroups) -> None:
    group = cgroups.make()
    assert group is not None
    script = 'echo $$ > "$0/cgroup.procs"; sleep 60 & exec sleep 60'
    with subprocess.Popen(["sh", "-c", script, group.path]) as shell:
        eventually(
            lambda: len((group.path / "cgroup.procs").read_text().split()) == 2, "two processes"
        )
        group.kill()
        assert shell.wait(20) == -9
    eventually(lambda: (group.path / "cgroup.procs").read_text() == "", "none")
    group.remove()
    assert cgroups.find_group(group.path.name) is None


def test_empty_groups_of_daemons_that_have_died_are_swept(cgroups: Cgroups) -> None:
    assert cgroups.base is not None
    with subprocess.Popen(["sleep", "60"]) as daemon:
        identity = process_identity(daemon.pid)
        stale = Cgroup(cgroups.base / f"tiermem-{identity}-0")
        stale.path.mkdir()
        cgroups.sweep()
        assert stale.path.exists()
        daemon.kill()
    cgroups.sweep()
    assert not stale.path.exists()


def test_a_ghost_is_small() -> None:
    """Its pages; what the kernel needs for it is weighed in a guest (tests/vm)."""
    with Ghost() as ghost:
        rollup = Path(f"/proc/{ghost.pid}/smaps_rollup")
        (pss,) = re.findall(r"^Pss:\s+(\d+) kB", rollup.read_text(), re.MULTILINE)
        assert 0 < int(pss) << 10 < MIB // 4
