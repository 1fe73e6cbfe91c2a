"""The file of clones: each is there from the moment it is noted, and no other is lost by it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.cxlfork.clone_journal import CloneJournal, SavedClone
from tiermem.errors import TiermemError


def clone(number: int) -> SavedClone:
    return SavedClone(
        identity=number << 40, pid=number, image="f", policy="mow", started_ns=number, cgroup="g"
    )


@pytest.fixture
def journal(tmp_path: Path) -> CloneJournal:
    return CloneJournal(tmp_path / "lib" / "fork.jsonl")


def test_without_a_file_there_are_none(journal: CloneJournal) -> None:
    assert journal.load() == []


def test_the_next_daemon_finds_them_in_their_order(journal: CloneJournal) -> None:
    for number in (3, 1, 2):
        journal.add(clone(number))
    assert CloneJournal(journal.path).load() == [clone(3), clone(1), clone(2)]


def test_those_that_have_ended_are_forgotten(journal: CloneJournal) -> None:
    for number in (1, 2, 3):
        journal.add(clone(number))
    journal.keep([clone(2)])
    journal.add(clone(4))
    assert CloneJournal(journal.path).load() == [clone(2), clone(4)]


def test_nothing_is_written_where_nobody_has_ended(journal: CloneJournal) -> None:
    journal.keep([])
    journal.add(clone(1))
    before = journal.path.stat()
    journal.keep([clone(1)])
    assert journal.path.stat().st_ino == before.st_ino


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_line_that_was_cut_off_costs_no_other(tmp_path_factory: object, cut: int) -> None:
    """Wherever the daemon was killed, all that it had noted whole is found."""
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    journal = CloneJournal(tmp_path_factory.mktemp("journal") / "fork.jsonl")
    ends = []
    for number in (1, 2, 3):
        journal.add(clone(number))
        ends.append(journal.path.stat().st_size)
    os.truncate(journal.path, min(cut, ends[-1]))
    whole = [number for number, end in zip((1, 2, 3), ends, strict=True) if end - 1 <= cut]
    assert journal.load() == [clone(number) for number in whole]


def test_what_is_no_clone_is_told_of_and_passed_over(
    journal: CloneJournal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.add(clone(1))
    with journal.path.open("ab") as file:
        file.write(b"\xff\x00nonsense\n")
    journal.add(clone(2))
    assert journal.load() == [clone(1), clone(2)]
    assert "line 2 is not a clone's" in caplog.text


def test_a_full_disk_leaves_what_was_there(
    journal: CloneJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.add(clone(1))
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:10]))
    with pytest.raises(TiermemError, match=os.strerror(errno.ENOSPC)):
        journal.add(clone(2))
    with pytest.raises(TiermemError, match=os.strerror(errno.ENOSPC)):
        journal.keep([clone(1)])
    monkeypatch.undo()
    journal.add(clone(3))
    assert journal.load() == [clone(1), clone(3)]
    assert [file.name for file in journal.path.parent.iterdir()] == [journal.path.name]


def test_a_folder_in_its_place_is_an_error_with_its_name(journal: CloneJournal) -> None:
    journal.path.mkdir(parents=True)
    with pytest.raises(TiermemError, match=str(journal.path)):
        journal.load()
    with pytest.raises(TiermemError, match=str(journal.path)):
        journal.add(clone(1))
