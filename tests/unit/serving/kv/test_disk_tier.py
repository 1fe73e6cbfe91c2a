"""The SSD tier on disks that are full, or may only be read."""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOSPC
from pathlib import Path

import pytest
from tiermem.serving.kv.transfers import Outcome, Transfer, Transfers

from tests.unit.serving.kv.own_mounts import run_mounted
from tests.unit.serving.kv.read_only import can_become_read_only, mount_of_its_own
from tests.unit.serving.kv.tiers import (
    SHAPE,
    open_store,
    put,
    saved,
)


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
        assert store.flush(60)
    transfers.is_full = True
    for number in range(10, 20):
        put(store, [number])
        assert store.flush(60)
    assert store.disk.used_blocks == 5, "of one it was tried"
    assert store.counters.get("ssd", "failed") == 1
    assert store.counters.get("ssd", "refused") == 9
    transfers.is_full = False
    store.disk._paused_until_s = 0.0
    put(store, [20])
    assert store.flush(60)
    assert store.disk.used_blocks == 6
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
