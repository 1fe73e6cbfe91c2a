"""Engines that are killed, disks that are full, options that are wrong: no token changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiermem.serving.kv.record import memory_at

from tests.serving.kv.engines import (
    BLOCK_BYTES,
    answer,
    answers,
    check_nothing_is_held,
    converse,
    engine,
    keys_of,
    store_of_engine,
    tiers,
    words,
)
from tests.unit.serving.kv.own_mounts import run_mounted
from tests.unit.serving.kv.read_only import can_become_read_only, mount_of_its_own

CHATTER = """
import sys
from pathlib import Path
from tests.serving.kv.engines import answer, engine, tiers, words

with engine(tiers(Path(sys.argv[1]), memory_blocks=32)) as llm:
    print("open", flush=True)
    for number in range(1000):
        answer(llm, words(number, 7) * 3, 1)
        print("said", flush=True)
"""


def test_a_killed_engine_leaves_nothing_wrong(plain: list[list[int]], tmp_path: Path) -> None:
    """Killed while it writes; a place of the file is damaged on top. The next one says the same."""
    file = tmp_path / "kv"
    with engine(tiers(file)) as llm:
        converse(llm, turns=2)
    child = subprocess.Popen(
        [sys.executable, "-c", CHATTER, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    lines = iter(child.stdout.readline, "")
    assert "open\n" in lines
    for _ in range(2):
        assert "said\n" in lines
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    damage_all_but_headers(file, places=range(0, 12, 3))
    with engine(tiers(file, memory_blocks=40, eviction="arc", restore="always")) as llm:
        store = store_of_engine()
        assert store.disk is not None
        # From a process before, and the one that was killed: to all it was the same model.
        assert all(store.disk.has(key) for key in keys_of(llm, plain[0][:150]))
        assert converse(llm) == plain
        assert store.counters.get("ssd", "corrupted") >= 1
        assert store.counters.get("ssd", "hits") >= 1
        check_nothing_is_held(store)
        assert file.stat().st_size <= 256 << 20


def damage_all_but_headers(file: Path, places: range) -> None:
    with file.open("r+b") as data:
        for place in places:
            data.seek(4096 + place * BLOCK_BYTES + 4096 + 12345)
            data.write(os.urandom(64))


FULL = """
import sys
from pathlib import Path
from tests.serving.kv.engines import converse, engine, store_of_engine, tiers

with engine(tiers(Path(sys.argv[1]) / "kv", memory_blocks=10)) as llm:
    found = converse(llm, turns=2)
    store = store_of_engine()
    assert store.flush(30)
    counts = store.counters.snapshot()
    assert counts["ssd"]["failed"] >= 1, counts
    assert store.disk.used_blocks >= 1, counts
    print("SAID", found)
"""


def said_by(mounts: str, program: str, folder: Path) -> list[str]:
    """What the program, in a mount namespace of its own, says that its model said."""
    lines = run_mounted(mounts, program, folder).splitlines()
    return [line.removeprefix("SAID ") for line in lines if line.startswith("SAID ")]


def test_a_full_disk_changes_no_token(plain: list[list[int]], tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size={4 * BLOCK_BYTES // 1024}k none "$2"'
    assert said_by(mount, FULL, tmp_path) == [str([one[: 2 * 76] for one in plain])]


READ_ONLY = """
import sys
from pathlib import Path
from tests.serving.kv.engines import converse, engine, store_of_engine, tiers
from tests.unit.serving.kv.read_only import make_read_only

folder = Path(sys.argv[1])
with engine(tiers(folder / "kv", memory_blocks=4, restore="always")) as llm:
    converse(llm, turns=2)
    store = store_of_engine()
    assert store.flush(30)
    make_read_only(folder)
    print("SAID", converse(llm), flush=True)
    assert store.flush(30)
    counts = store.counters.snapshot()
    assert counts["ssd"]["failed"] >= 1 and counts["ssd"]["hits"] >= 1, counts
with engine(tiers(folder / "kv", memory_blocks=4, restore="always")) as llm:
    print("SAID", converse(llm), flush=True)
    counts = store_of_engine().counters.snapshot()
    assert counts["ssd"]["refused"] >= 1 and counts["ssd"]["hits"] >= 1, counts
    assert "failed" not in counts["ssd"], counts
"""


def test_a_disk_that_becomes_read_only_changes_no_token(
    plain: list[list[int]], tmp_path: Path
) -> None:
    """Under an engine, and before the next one starts: what is there is read."""
    if not can_become_read_only():
        pytest.skip("an ext4 on a loop device needs root")
    assert said_by(mount_of_its_own(64), READ_ONLY, tmp_path) == [str(plain)] * 2


def test_who_shares_a_damaged_block_is_answered_right_as_well() -> None:
    """Two at once with a common begin: one restores it, the other finds it in vLLM's cache."""
    prompts = [words(40, 0) + words(40, 1)[:30] + words(41 + number, 0) for number in (0, 1)]
    with engine(tiers(None, memory_blocks=40, restore="always")) as llm:
        store = store_of_engine()
        expected = [answer(llm, prompt) for prompt in prompts]
        for number in (8, 9):
            answer(llm, words(number, 0) * 4, 1)  # vLLM's own cache has nothing of it by then
        block = store.memory.pin(keys_of(llm, prompts[0])[1])
        assert block is not None
        memory_at(block.address, store.shape.bytes)[store.shape.header_bytes + 7] ^= 1
        store.memory.unpin([block])
        assert answers(llm, prompts) == expected
        assert store.counters.get("memory", "corrupted") == 1
        # From what vLLM's cache has of them now, and from what the tiers have.
        assert answers(llm, prompts) == expected
        for number in (8, 9):
            answer(llm, words(number, 0) * 4, 1)
        assert answers(llm, prompts) == expected
        assert store.counters.get("memory", "corrupted") == 1
        check_nothing_is_held(store)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory": {"capacity": "1KiB"}}, "takes 1478656"),
        ({"evict": "lru"}, "did you mean eviction"),
    ],
)
def test_wrong_options_end_the_start(changes: dict[str, Any], said: str) -> None:
    from tiermem.errors import TiermemError

    with pytest.raises(TiermemError, match=said), engine({**tiers(None), **changes}):
        pass
