"""The folder of all pods is this user's alone, in a folder where anybody may write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from tiermem.testbed.errors import BootError
from tiermem.testbed.run_dirs import new_run_dir, runtime_root


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder will be."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"tiermem-{os.getuid()}"


def test_it_is_made_for_this_user_only_and_found_again(root: Path) -> None:
    assert runtime_root() == runtime_root() == root
    assert root.stat().st_mode & 0o777 == 0o700
    assert new_run_dir().parent == root


@pytest.mark.parametrize("there", [True, False], ids=["to a folder", "to nothing"])
def test_a_link_that_somebody_put_there_is_not_followed(root: Path, there: bool) -> None:
    elsewhere = root.with_name("elsewhere")
    if there:
        elsewhere.mkdir(mode=0o700)
    root.symlink_to(elsewhere)
    with pytest.raises(BootError, match="not a folder of yours; remove it or set TMPDIR"):
        runtime_root()


def test_a_folder_that_others_may_enter_is_refused(root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    with pytest.raises(BootError, match="open to others; make it yours alone: chmod 700"):
        runtime_root()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder away: root only")
def test_a_folder_of_somebody_else_is_refused(root: Path) -> None:
    root.mkdir(mode=0o700)
    os.chown(root, 65534, 65534)
    with pytest.raises(BootError, match="not a folder of yours"):
        runtime_root()
