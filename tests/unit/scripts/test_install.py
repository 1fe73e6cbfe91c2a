"""`make install`: what it asks of a host, told before anything is laid down."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ("sh", "dirname", "uname", "id", "test")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with the shell's tools and no compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


def install(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/install.sh"],
        env={"PATH": str(path), "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_host_without_a_compiler_is_told_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = install(bare, DESTDIR=str(tmp_path / "dest"))
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert "lacks what tiermem is built with: apt-get install gcc" in line
    assert not (tmp_path / "dest").exists()


def test_a_python_that_is_none_is_refused(bare: Path, tmp_path: Path) -> None:
    done = install(bare, DESTDIR=str(tmp_path / "dest"), PYTHON=str(bare / "test"))
    assert done.returncode == 3
    assert "set PYTHON to one" in done.stderr


def test_a_prefix_is_an_absolute_path(bare: Path) -> None:
    assert install(bare, PREFIX="opt/tiermem").returncode == 2


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_it_needs_none_of_what_tests_need() -> None:
    plan = subprocess.run(
        ["make", "-n", "-C", ROOT, "install"], capture_output=True, text=True, check=True
    )
    assert "scripts/install.sh" in plan.stdout
    assert "scripts/setup.sh" not in plan.stdout
