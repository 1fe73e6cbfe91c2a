"""Two OpenAI-compatible servers share a pool; one is killed while it writes, and starts again."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tiermem.layer.pool import create_pool, open_pool
from tiermem.layer.pool.directory import State

from tests.serving.kv.engines import BLOCK_BYTES, BLOCK_TOKENS, tiers, words
from tests.serving.kv.servers import Server

CAPACITY_BYTES = 20 * BLOCK_BYTES
SSD_PLACES = 16
Starter = Callable[[int], Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """A server of a host of the pool, which has a file of its own as well."""
    create_pool(tmp_path / "pool", hosts=2, size=128 << 20)
    with ExitStack() as stack:

        def start_it(host: int) -> Server:
            pool = {"path": str(tmp_path / "pool"), "host": host, "capacity": CAPACITY_BYTES}
            extra: dict[str, Any] = tiers(None, memory_blocks=12, pool=pool, restore="always")
            capacity = 4096 + SSD_PLACES * BLOCK_BYTES
            extra["ssd"] = {"path": str(tmp_path / f"kv{host}"), "capacity": capacity}
            server = Server(extra, tmp_path / f"log{host}")
            stack.callback(server.stop)
            return server

        yield start_it


@pytest.mark.timeout(900)
def test_a_session_goes_on_at_another_server_and_no_kill_is_noticed(
    plain: list[list[int]], start: Starter, tmp_path: Path
) -> None:
    one, other = start(0), start(1)
    for server in (one, other):
        server.wait_until_it_serves()
    # Two turns of 70 words and 6 tokens each at the one server, the third at the other.
    for history in plain:
        for end in (70, 146):
            assert one.answer(history[:end]) == history[end : end + 6]
    # Of 152 tokens each, the last of which has no KV yet.
    wait_for(lambda: told(one, "pool", "stored") == len(plain) * (151 // BLOCK_TOKENS))
    assert other.answer(plain[1][:-6]) == plain[1][-6:]
    assert told(other, "pool", "hits") == 151 // BLOCK_TOKENS
    assert told(other, "memory", "hits") == 0

    kill_while_it_writes(one, tmp_path / "kv0")
    for number in (0, 2):
        assert other.answer(plain[number][:-6]) == plain[number][-6:]
    check_space(tmp_path)

    again = start(0)
    again.wait_until_it_serves()
    for history in plain:
        assert again.answer(history[:-6]) == history[-6:]
    assert told(again, "pool", "hits") + told(again, "ssd", "hits") >= 2
    for number in range(8):
        again.answer(words(number, 9) * 3, 1)
    wait_for(lambda: told(again, "pool", "evicted") >= 1)
    time.sleep(1)
    check_space(tmp_path)
    check_nothing_is_half_made(tmp_path)
    for history in plain:
        assert again.answer(history[:-6]) == history[-6:]
        assert other.answer(history[:-6]) == history[-6:]


def told(server: Server, tier: str, event: str) -> int:
    """Counters are told with the engine's steps: some more, for what came after the last."""
    server.answer(words(99, 1)[:20], 2)
    return server.events(tier, event)


def kill_while_it_writes(server: Server, file: Path) -> None:
    """In the middle of requests, each of which makes six blocks, as soon as more is on SSD."""

    def ask() -> None:
        for number in range(1000):
            try:
                server.answer(words(number, 7) * 3, 1)
            except (urllib.error.URLError, ConnectionError, OSError):
                return

    asking = [threading.Thread(target=ask) for _ in range(2)]
    written_ns = file.stat().st_mtime_ns
    for thread in asking:
        thread.start()
    wait_for(lambda: file.stat().st_mtime_ns > written_ns)
    server.kill()
    for thread in asking:
        thread.join()


def check_space(folder: Path) -> None:
    """Neither takes more than it was given, of the pool and of its disk."""
    with open_pool(folder / "pool") as pool:
        entries = pool.entries(unfinished=True)
    for host in (0, 1):
        mine = [entry.bytes for entry in entries if entry.extent.host == host]
        # A killed one may have been about to publish one more.
        assert sum(mine) <= CAPACITY_BYTES + BLOCK_BYTES
        assert (folder / f"kv{host}").stat().st_size <= 4096 + SSD_PLACES * BLOCK_BYTES


def check_nothing_is_half_made(folder: Path) -> None:
    """What the killed one had reserved and not published was given back."""
    with open_pool(folder / "pool") as pool:
        entries = pool.entries(unfinished=True)
    assert all(entry.state is State.PUBLISHED for entry in entries)
    for host in (0, 1):
        mine = [entry.bytes for entry in entries if entry.extent.host == host]
        assert sum(mine) <= CAPACITY_BYTES


def wait_for(is_so: Callable[[], bool], timeout_s: float = 200) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
