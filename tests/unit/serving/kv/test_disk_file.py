"""An SSD tier's file: what is not whole is not there, and what is not ours is left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiermem.errors import ConfigError, MissingError
from tiermem.serving.kv.record import Header, pack_header, read_header

from tests.unit.serving.kv.tiers import (
    SHAPE,
    content,
    key,
    open_store,
    put,
    read_block,
    saved,
    stage,
)


def test_a_corrupted_block_is_not_there(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [0, 1, 2])
    with (tmp_path / "kv").open("r+b") as file:
        file.seek(4096 + SHAPE.bytes + SHAPE.header_bytes + 7777)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    store = open_store(tmp_path / "kv", 8, 16)
    stage(store, [0, 1, 2])
    assert [read_block(store, number) is not None for number in (0, 1, 2)] == [True, False, True]
    assert store.counters.get("ssd", "corrupted") == 1
    assert store.look_up([key(0), key(1)]) == ({"memory": 1}, {})
    assert store.memory.used_blocks == 2
    store.close()


def test_a_short_file_has_fewer_blocks(tmp_path: Path) -> None:
    """What is there of the last one goes, and its place is one that nothing was written to."""
    path = tmp_path / "kv"
    saved(path, [0, 1, 2])
    os.truncate(path, 4096 + 2 * SHAPE.bytes + SHAPE.header_bytes + 4096)
    store = open_store(path, 8, 16)
    assert path.stat().st_size == 4096 + 2 * SHAPE.bytes
    assert store.look_up([key(0), key(1), key(2)]) == ({}, {"ssd": 2})
    put(store, [3, 4])
    assert store.flush(60)
    store.memory.clear()
    stage(store, [0, 1, 3, 4])
    for number in (0, 1, 3, 4):
        assert read_block(store, number) == content(number).tobytes()
    store.close()


def test_a_file_that_is_cut_while_it_is_used_has_fewer_blocks(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 8, 16)
    put(store, [0, 1])
    assert store.flush(60)
    os.truncate(tmp_path / "kv", 4096 + SHAPE.bytes + SHAPE.header_bytes + 4096)
    store.memory.clear()
    stage(store, [0, 1])
    assert (read_block(store, 0), read_block(store, 1)) == (content(0).tobytes(), None)
    assert store.counters.get("ssd", "short") == 1
    put(store, [2])
    assert store.flush(60)
    store.close()


def test_whatever_part_of_a_write_reached_the_disk_no_block_is_wrong(tmp_path: Path) -> None:
    """Power loss in any order of pages: over a block that is replaced, old and new mix."""
    saved(tmp_path / "old", [0])
    saved(tmp_path / "new", [1])
    old, new = (tmp_path / "old").read_bytes(), (tmp_path / "new").read_bytes()
    random_pages = random.Random(7)
    pages = range(4096, len(old), 4096)
    outcomes = set()
    for _ in range(30):
        share = random_pages.choice([0.2, 0.5, 0.9, 1.0])
        mixed = bytearray(old)
        for at in pages:
            if random_pages.random() < share:
                mixed[at : at + 4096] = new[at : at + 4096]
        (tmp_path / "kv").write_bytes(mixed)
        store = open_store(tmp_path / "kv", 4, 16)
        stage(store, [0])
        stage(store, [1])
        found = tuple(read_block(store, number) for number in (0, 1))
        assert found[0] in (None, content(0).tobytes())
        assert found[1] in (None, content(1).tobytes())
        outcomes.add((found[0] is not None, found[1] is not None))
        store.close()
    assert {(False, True), (False, False)} <= outcomes


WRITER = """
import sys
from itertools import count
from pathlib import Path
from tests.unit.serving.kv.tiers import open_store, put

store = open_store(Path(sys.argv[1]), 8, 6)
print("open", flush=True)
for number in count():
    put(store, [number % 40])
    store.flush(60)
"""


def test_a_killed_writer_leaves_whole_blocks(tmp_path: Path) -> None:
    for begun in (2, 5):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "kv")], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        # It writes one block at a time: the ones before the last are whole.
        while (tmp_path / "kv").stat().st_size <= 4096 + (begun - 1) * SHAPE.bytes:
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        store = open_store(tmp_path / "kv", 40, 6)
        for number in range(40):
            stage(store, [number])
            assert read_block(store, number) in (None, content(number).tobytes())
        assert store.memory.used_blocks >= 1
        assert store.memory.used_blocks <= 6
        store.close()


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_bytes(b"dear reader" * 1000)
    with pytest.raises(ConfigError, match="a file of something else"):
        open_store(letter, 4, 16)
    assert letter.read_bytes() == b"dear reader" * 1000
    image = tmp_path / "of a disk"
    image.write_bytes(bytes(65536) + b"something")
    with pytest.raises(ConfigError, match="a file of something else"):
        open_store(image, 4, 16)
    assert image.stat().st_size == 65545
    with pytest.raises(MissingError, match="folder does not exist"):
        open_store(tmp_path / "nowhere" / "kv", 4, 16)
    with pytest.raises(ConfigError, match="is a folder"):
        open_store(tmp_path, 4, 16)
    store = open_store(tmp_path / "kv", 4, 16)
    with pytest.raises(ConfigError, match="another process has it open"):
        open_store(tmp_path / "kv", 4, 16)
    store.close()


@pytest.mark.parametrize("how", ["empty", "truncate", "a page"])
def test_a_file_that_somebody_made_ahead_is_used(tmp_path: Path, how: str) -> None:
    path = tmp_path / "kv"
    path.write_bytes(bytes(4096) if how == "a page" else b"")
    if how == "truncate":
        os.truncate(path, 1 << 20)
    store = open_store(path, 4, 16)
    assert store.look_up([key(1)]) == ({}, {})
    put(store, [1])
    assert store.flush(60)
    store.close()
    store = open_store(path, 4, 16)
    assert store.look_up([key(1)]) == ({}, {"ssd": 1})
    store.close()


def test_headers_count_only_as_they_were_written() -> None:
    header = Header(key(3), 17, (1, 2, 3))
    data = pack_header(header)
    assert read_header(data, SHAPE) == header
    for at in range(len(data)):
        wrong = bytearray(data)
        wrong[at] ^= 0x10
        assert read_header(bytes(wrong), SHAPE) is None
    assert read_header(data[:-1], SHAPE) is None
