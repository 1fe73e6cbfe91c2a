"""State survives a restart, and a damaged file never keeps a daemon down."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from pydantic import BaseModel
from tiermem.errors import TiermemError
from tiermem.service.state import StateFile


class Found(BaseModel):
    numa_balancing: int
    demotion: bool


FOUND = Found(numa_balancing=1, demotion=False)


@pytest.fixture
def file(tmp_path: Path) -> StateFile[Found]:
    return StateFile(tmp_path / "lib" / "m5.json", Found)


def test_nothing_saved_is_none(file: StateFile[Found]) -> None:
    assert file.load() is None


def test_what_was_saved_is_there_after_a_restart(file: StateFile[Found]) -> None:
    file.save(FOUND)
    assert StateFile(file.path, Found).load() == FOUND
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert list(file.path.parent.iterdir()) == [file.path]


def test_removed_is_forgotten(file: StateFile[Found]) -> None:
    file.save(FOUND)
    file.remove()
    file.remove()
    assert file.load() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"numa_balancing": 1}', b"\xff\x00", b"[]"])
def test_a_damaged_file_is_set_aside_with_a_message(
    file: StateFile[Found], content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    assert file.load() is None
    (aside,) = file.path.parent.iterdir()
    assert aside.name.startswith("m5.json.damaged-")
    assert aside.read_bytes() == content
    assert f"{file.path}: the saved state is damaged" in caplog.text
    file.save(FOUND)
    assert file.load() == FOUND


def test_a_write_that_fails_leaves_the_old_state(
    file: StateFile[Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.save(FOUND)

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TiermemError, match="cannot be written: No space left"):
        file.save(Found(numa_balancing=2, demotion=True))
    assert file.load() == FOUND
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_state_that_cannot_be_read_is_an_error_and_not_fresh(tmp_path: Path) -> None:
    (tmp_path / "m5.json").mkdir()
    with pytest.raises(TiermemError, match="cannot be read: Is a directory"):
        StateFile(tmp_path / "m5.json", Found).load()
