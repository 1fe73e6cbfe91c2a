"""The store without an engine: bytes come back as they went in, or not at all."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from errno import ENOSPC
from pathlib import Path

import pytest
from tiermem.errors import ConfigError, MissingError, NoSpaceError
from tiermem.serving.kv.record import Header, pack_header, read_header
from tiermem.serving.kv.store import Fill, KvStore
from tiermem.serving.kv.transfers import Outcome, Transfer, Transfers

from tests.unit.serving.kv.read_only import can_become_read_only, mount_of_its_own
from tests.unit.serving.kv.tiers import (
    IDENTITY,
    SHAPE,
    content,
    key,
    open_store,
    put,
    read_block,
    region,
)


def stage(store: KvStore, numbers: list[int]) -> None:
    staging = store.stage([key(number) for number in numbers])
    assert staging.wait(5)
    store.release(staging)


def saved(path: Path, numbers: list[int], **options: object) -> None:
    """A file with those blocks, and nobody who has it open."""
    store = open_store(path, 8, 16, **options)
    put(store, numbers)
    assert store.flush(5)
    store.close()


@pytest.mark.parametrize("uses_ring", [True, False])
def test_blocks_that_left_memory_come_back_from_ssd(tmp_path: Path, uses_ring: bool) -> None:
    transfers = Transfers(4, ring=uses_ring)
    if uses_ring and not transfers.uses_ring:
        pytest.skip("this kernel lets nobody have an io_uring")
    store = open_store(tmp_path / "kv", 4, 16, transfers=transfers)
    for number in range(10):
        put(store, [number])
        assert store.flush(5)
    assert store.look_up([key(0), key(1)]) == ({}, {"ssd": 2})
    stage(store, [0, 1])
    assert read_block(store, 0) == content(0).tobytes()
    assert read_block(store, 1) == content(1).tobytes()
    assert store.counters.get("memory", "lost") == 0
    assert store.counters.get("ssd", "stored") == 10
    store.close()


def test_a_new_process_finds_them(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [1, 2, 3])
    store = open_store(tmp_path / "kv", 4, 16)
    assert store.look_up([key(1), key(2), key(3), key(4)]) == ({}, {"ssd": 3})
    stage(store, [1, 2])
    assert read_block(store, 2) == content(2).tobytes()
    store.close()


def test_capacities_hold_to_the_byte(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 4, 5)
    for number in range(12):
        put(store, [number])
        assert store.flush(5)
    assert store.memory.used_blocks == 4
    assert store.disk is not None
    assert store.disk.used_blocks == 5
    assert store.fills() == {
        "memory": Fill(4 * SHAPE.bytes, 4 * SHAPE.bytes),
        "ssd": Fill(5 * SHAPE.bytes, 5 * SHAPE.bytes),
    }
    assert (tmp_path / "kv").stat().st_size <= 4096 + 5 * SHAPE.bytes
    store.close()
    with pytest.raises(NoSpaceError, match=f"takes {SHAPE.bytes}"):
        KvStore(region(0), SHAPE, 32, IDENTITY)


def test_a_smaller_capacity_cuts_the_file(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [0, 1, 2, 3])
    store = open_store(tmp_path / "kv", 4, 2)
    assert (tmp_path / "kv").stat().st_size == 4096 + 2 * SHAPE.bytes
    assert store.look_up([key(0), key(1), key(2)]) == ({}, {"ssd": 2})
    store.close()


def test_who_is_pinned_stays_and_who_comes_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 3, 16)
    put(store, [0, 1, 2])
    assert store.flush(5)
    pins = store.near.pin_prefix([key(0), key(1), key(2)])
    assert len(pins) == 3
    assert store.memory.reserve(key(3), 3) is None
    assert store.counters.get("memory", "refused") == 1
    store.memory.unpin(pins)
    put(store, [3])
    assert store.look_up([key(0), key(1), key(2)]) == ({"memory": 2}, {"ssd": 1}), (
        "the end of a prefix goes first"
    )
    store.close()


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
    assert store.flush(5)
    store.memory.clear()
    stage(store, [0, 1, 3, 4])
    for number in (0, 1, 3, 4):
        assert read_block(store, number) == content(number).tobytes()
    store.close()


def test_a_file_that_is_cut_while_it_is_used_has_fewer_blocks(tmp_path: Path) -> None:
    store = open_store(tmp_path / "kv", 8, 16)
    put(store, [0, 1])
    assert store.flush(5)
    os.truncate(tmp_path / "kv", 4096 + SHAPE.bytes + SHAPE.header_bytes + 4096)
    store.memory.clear()
    stage(store, [0, 1])
    assert (read_block(store, 0), read_block(store, 1)) == (content(0).tobytes(), None)
    assert store.counters.get("ssd", "short") == 1
    put(store, [2])
    assert store.flush(5)
    store.close()


def test_a_disk_that_is_full_for_what_it_has_as_well_loses_few_blocks(tmp_path: Path) -> None:
    """As those are that never write in place."""

    class FullTransfers(Transfers):
        is_full = False

        def run(self, fd: int, transfers: Sequence[Transfer]) -> list[Outcome]:
            if self.is_full and any(one.is_write for one in transfers):
                return [Outcome(0, ENOSPC) for _ in transfers]
            return super().run(fd, transfers)

    transfers = FullTransfers(4)
    store = open_store(tmp_path / "kv", 4, 6, transfers=transfers)
    assert store.disk is not None
    for number in range(6):
        put(store, [number])
        assert store.flush(5)
    transfers.is_full = True
    for number in range(10, 20):
        put(store, [number])
        assert store.flush(5)
    assert store.disk.used_blocks == 5, "of one it was tried"
    assert store.counters.get("ssd", "failed") == 1
    assert store.counters.get("ssd", "refused") == 9
    transfers.is_full = False
    store.disk._paused_until_s = 0.0
    put(store, [20])
    assert store.flush(5)
    assert store.disk.used_blocks == 6
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
    store.flush(5)
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


FULL = """
import sys
from pathlib import Path
from tests.unit.serving.kv.tiers import content, key, open_store, put, read_block

store = open_store(Path(sys.argv[1]) / "kv", 16, 64)
for number in range(12):
    put(store, [number])
    assert store.flush(10)
failed, there = store.counters.get("ssd", "failed"), store.disk.used_blocks
assert failed >= 1, store.counters.snapshot()
assert 1 <= there < 12, there
store.memory.clear()
for number in range(12):
    staging = store.stage([key(number)])
    assert staging.wait(10)
    store.release(staging)
    assert read_block(store, number) in (None, content(number).tobytes())
store.close()
"""
FULL_AT_FIRST = """
import sys
from pathlib import Path
from tests.unit.serving.kv.tiers import content, key, open_store, put, read_block

folder = Path(sys.argv[1])
others = folder / "of others"
with others.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)) == 4096:
            pass
    except OSError:
        pass
store = open_store(folder / "kv", 4, 16)
for number in (1, 2):
    put(store, [number])
    assert store.flush(10)
assert store.counters.get("ssd", "refused") == 2, store.counters.snapshot()
assert (folder / "kv").stat().st_size == 0
others.unlink()
put(store, [3])
assert store.flush(10)
assert store.disk.used_blocks == 0, "it is tried again after a minute only"
store.disk._full_until_s = 0.0
put(store, [4])
assert store.flush(10)
store.close()
store = open_store(folder / "kv", 4, 16)
staging = store.stage([key(4)])
assert staging.wait(10)
store.release(staging)
assert read_block(store, 4) == content(4).tobytes()
store.close()
"""
READ_ONLY = """
import sys
from pathlib import Path
from tests.unit.serving.kv.tiers import content, key, open_store, put, read_block

store = open_store(Path(sys.argv[1]) / "kv", 4, 16)
staging = store.stage([key(1)])
assert staging.wait(10)
store.release(staging)
assert read_block(store, 1) == content(1).tobytes()
put(store, [5])
assert store.counters.get("ssd", "refused") == 1
store.close()
"""


def run_mounted(mounts: str, program: str, folder: Path) -> None:
    """In a mount namespace of its own."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting needs a mount namespace of one's own")
    script = f'set -e; {mounts}; exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, program, str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_a_full_disk_keeps_what_fits(tmp_path: Path) -> None:
    size_kib = (4096 + 5 * SHAPE.bytes) // 1024
    run_mounted(f'mount -t tmpfs -o size={size_kib}k none "$2"', FULL, tmp_path)


def test_a_disk_that_is_full_at_first_is_used_when_it_is_not(tmp_path: Path) -> None:
    run_mounted('mount -t tmpfs -o size=128k none "$2"', FULL_AT_FIRST, tmp_path)


def test_a_read_only_disk_is_read_and_not_written(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [1])
    run_mounted('mount --bind "$2" "$2"; mount -o remount,bind,ro "$2"', READ_ONLY, tmp_path)


READ_ONLY_LATER = """
import sys
from pathlib import Path
from tests.unit.serving.kv.read_only import make_read_only
from tests.unit.serving.kv.tiers import content, key, open_store, put, read_block

def stage(store, number):
    staging = store.stage([key(number)])
    assert staging.wait(10)
    store.release(staging)

def check(store):
    stage(store, 1)
    assert read_block(store, 1) == content(1).tobytes()
    put(store, [5])
    assert store.flush(10)

folder = Path(sys.argv[1])
store = open_store(folder / "kv", 4, 16)
put(store, [1])
assert store.flush(10)
store.memory.clear()
make_read_only(folder)
check(store)
assert store.counters.get("ssd", "failed") == 1, store.counters.snapshot()
put(store, [6])
assert store.flush(10)
assert store.counters.get("ssd", "refused") == 1, store.counters.snapshot()
store.close()
store = open_store(folder / "kv", 4, 16)
check(store)
assert store.counters.get("ssd", "refused") == 1, store.counters.snapshot()
store.close()
"""


def test_a_disk_that_becomes_read_only_is_read_on(tmp_path: Path) -> None:
    """As ext4 does it by itself, after an error."""
    if not can_become_read_only():
        pytest.skip("an ext4 on a loop device needs root")
    run_mounted(mount_of_its_own(32), READ_ONLY_LATER, tmp_path)


def test_the_file_of_another_engine_starts_anew(tmp_path: Path) -> None:
    saved(tmp_path / "kv", [1])
    other = KvStore(region(4), SHAPE, 32, bytes(32), ssd=(tmp_path / "kv", 1 << 20))
    assert other.look_up([key(1)]) == ({}, {})
    other.close()


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
    assert store.flush(5)
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
