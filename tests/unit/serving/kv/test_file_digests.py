"""Files are known by all that is in them, and read again only where they may have changed."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiermem.serving.kv import file_digests
from tiermem.serving.kv.file_digests import digests_of

LONG_AGO_S = -10.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(100_000))
    return path


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "digests.json"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were read, in a world in which every change is long ago."""
    seen: list[Path] = []
    plain = file_digests._digest

    def read(path: Path) -> str:
        seen.append(path)
        return plain(path)

    monkeypatch.setattr(file_digests, "_digest", read)
    monkeypatch.setattr(file_digests, "_SETTLED_S", LONG_AGO_S)
    return seen


@given(
    data=st.binary(max_size=70),
    reads_per_piece=st.integers(1, 9),
    read_bytes=st.integers(1, 9),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_digest_is_of_the_digests_of_pieces(
    data: bytes, reads_per_piece: int, read_bytes: int, tmp_path: Path
) -> None:
    """However much is read at a time."""
    path, piece = tmp_path / "file", reads_per_piece * read_bytes
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_digests, "_PIECE_BYTES", piece)
        patch.setattr(file_digests, "_READ_BYTES", read_bytes)
        [found] = digests_of([path], tmp_path / "memory")
    pieces = [data[at : at + piece] for at in range(0, max(1, len(data)), piece)]
    joined = b"".join(hashlib.sha256(one).digest() for one in pieces)
    assert found == hashlib.sha256(joined).hexdigest()


def test_a_file_that_stayed_as_it_was_is_not_read_again(
    file: Path, memory: Path, reads: list[Path]
) -> None:
    other = file.with_name("other")
    other.write_bytes(b"")
    first = digests_of([file, other], memory)
    assert digests_of([other, file], memory) == first[::-1]
    assert sorted(reads) == sorted([file, other])


@pytest.mark.parametrize("change", ["content", "replaced", "moment"])
def test_a_file_that_may_have_changed_is_read_again(
    file: Path, memory: Path, reads: list[Path], change: str
) -> None:
    [before] = digests_of([file], memory)
    wait_for_a_tick(file)
    data, seen = bytearray(file.read_bytes()), file.stat()
    data[50_000] ^= 1
    if change == "moment":
        file.chmod(0o600)
    elif change == "replaced":
        file.with_name("new").write_bytes(data)
        file.with_name("new").replace(file)
    else:
        file.write_bytes(data)
    # Which says nothing.
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    [after] = digests_of([file], memory)
    assert (after == before) == (change == "moment")
    assert reads == [file, file]


def wait_for_a_tick(file: Path) -> None:
    """Of the clock by which the file system notes changes, which may be slow."""
    beside, deadline_s = file.with_name("beside"), time.monotonic() + 5
    beside.write_bytes(b"")
    while beside.stat().st_ctime_ns <= file.stat().st_ctime_ns and time.monotonic() < deadline_s:
        beside.write_bytes(b"")


def test_what_was_written_this_moment_is_read_each_time(
    file: Path, memory: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be written again before a clock tick is over."""
    monkeypatch.setattr(file_digests, "_SETTLED_S", 2.0)
    assert digests_of([file], memory) == digests_of([file], memory)
    assert reads == [file, file]


@pytest.mark.parametrize("text", ["", "{", '{"files": {"a": 1}}', "[]"])
def test_a_memory_that_makes_no_sense_is_written_anew(
    file: Path, memory: Path, reads: list[Path], text: str
) -> None:
    memory.parent.mkdir()
    memory.write_text(text)
    assert digests_of([file], memory) == digests_of([file], memory)
    assert reads == [file]


def test_without_a_place_for_it_files_are_read_each_time(
    file: Path, tmp_path: Path, reads: list[Path]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = digests_of([file], tmp_path / "cache" / "digests.json")
    assert found == digests_of([file], tmp_path / "cache" / "digests.json")
    assert reads == [file, file]


def test_a_file_that_becomes_shorter_while_it_is_read_is_an_error(
    file: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_digests.os, "pread", lambda _fd, _size, at: b"1" if at < 9 else b"")
    with pytest.raises(OSError, match="became shorter"):
        digests_of([file], memory)


def test_one_that_is_named_twice_is_read_once(file: Path, memory: Path, reads: list[Path]) -> None:
    assert len(set(digests_of([file, file], memory))) == 1
    assert len(digests_of([file, file], memory)) == 2
    assert reads == [file]


def test_what_others_remember_meanwhile_stays(
    file: Path, memory: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = file.with_name("other")
    other.write_bytes(b"1")
    counted = file_digests._digest

    def meanwhile(path: Path) -> str:
        if path == file:
            digests_of([other], memory)
        return counted(path)

    monkeypatch.setattr(file_digests, "_digest", meanwhile)
    digests_of([file], memory)
    digests_of([file, other], memory)
    assert sorted(reads) == sorted([file, other])


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, memory: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digests_of([tmp_path / "none"], memory)


def test_without_a_memory_it_is_read_each_time(file: Path, reads: list[Path]) -> None:
    assert digests_of([file], None) == digests_of([file], None)
    assert reads == [file, file]
