"""The list of arenas: of living processes, whose owner says what changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tiermem.errors import KernelError, NoRightError
from tiermem.layer.arena import create_arena, list_arenas
from tiermem.layer.arena.registry import default_run_dir, sweep
from tiermem.layer.pool.local import process_identity

from tests.unit.layer.arena.conftest import MIB, Maker
from tests.unit.layer.ordinary_user import as_ordinary_user

CHILD = """
import sys
from pathlib import Path
from tiermem.layer.arena import create_arena
arena = create_arena("theirs", 1 << 20, nodes=[0], run_dir=Path(sys.argv[1]))
buffer = arena.allocate(4096)
print("ready", flush=True)
sys.stdin.read()
"""


def test_it_says_what_is_used_now_and_was_at_most(make: Maker, run_dir: Path) -> None:
    arena = make(2 * MIB + 1)
    first, second = arena.allocate(1000), arena.allocate(500)
    first.close()
    (listed,) = list_arenas(run_dir)
    assert listed.pid == os.getpid()
    assert listed.usage.model_dump() == {"used_bytes": 500, "peak_bytes": 1500, "buffers": 1}
    assert listed.description == arena.description
    assert (listed.description.bytes, listed.description.nodes) == (2 * MIB + 1, (0,))
    second.close()
    arena.close()
    assert list_arenas(run_dir) == []


def test_a_killed_process_is_swept_and_a_living_one_is_not(make: Maker, run_dir: Path) -> None:
    make()
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    names = {(one.pid, one.description.name): one.usage.used_bytes for one in list_arenas(run_dir)}
    assert names == {(os.getpid(), "test"): 0, (process.pid, "theirs"): 4096}
    process.kill()
    process.communicate()
    assert [one.description.name for one in list_arenas(run_dir)] == ["test"]
    assert len(list(run_dir.iterdir())) == 1
    assert sweep(run_dir) == 0


def test_files_that_are_no_arenas_are_passed_over(make: Maker, run_dir: Path) -> None:
    """In a folder of another user there may be anything, and root looks into it."""
    make()
    mine = process_identity(os.getpid())
    (run_dir / f"{mine}.1000007.arena").write_text("short")
    (run_dir / f"{mine}.1000008.arena").write_bytes(bytes(64) + b'{"name": 7}')
    (run_dir / f"{mine}.1000009.arena").symlink_to("/dev/zero")
    os.mkfifo(run_dir / f"{mine}.1000010.arena")
    (run_dir / "x.arena").write_text("")
    assert len(list_arenas(run_dir)) == 1


def test_two_of_a_name_are_two(make: Maker, run_dir: Path) -> None:
    make()
    make()
    assert [one.description.name for one in list_arenas(run_dir)] == ["test", "test"]


def test_a_folder_that_cannot_be_made_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError, match=r"note arena test in .*file/run: Not a directory"):
        create_arena("test", MIB, nodes=[0], run_dir=tmp_path / "file/run")


def test_a_user_who_never_logged_in_has_arenas_too() -> None:
    """As in services and containers: nobody made a folder for them below /run."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)

        def make_and_list() -> str:
            os.environ.update(XDG_RUNTIME_DIR="/run/user/none", TMPDIR=folder)
            tempfile.tempdir = None
            with create_arena("theirs", MIB, nodes=[0]):
                assert default_run_dir().parent.stat().st_mode & 0o777 == 0o700
                return str([one.description.name for one in list_arenas()])

        def find_a_strangers_folder() -> str:
            os.environ.update(XDG_RUNTIME_DIR="/run/user/none", TMPDIR=folder)
            tempfile.tempdir = None
            with pytest.raises(NoRightError, match="is not this user's folder"):
                default_run_dir()
            return "refused"

        assert as_ordinary_user(make_and_list) == "['theirs']"
        (own,) = Path(folder).iterdir()
        shutil.rmtree(own)
        own.symlink_to(folder)
        assert as_ordinary_user(find_a_strangers_folder) == "refused"
