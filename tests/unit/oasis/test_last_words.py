"""A process that is killed has it said in its links that its NICs carry nothing."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiermem.layer.pool.local import process_identity
from tiermem.native._net import lib
from tiermem.oasis.last_words import LastWords

LINKS = (0, 65536, 131072)
DOWN = struct.Struct("<QQ")  # struct net_link_pulse


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    path = tmp_path / "memory"
    path.write_bytes(bytes(2 * LINKS[-1]))
    return path


def down(memory: Path) -> list[bool]:
    """Of each link, whether its NIC is said to be."""
    content = memory.read_bytes()
    found = [DOWN.unpack_from(content, at + lib.NET_LINK_PULSE_AT) for at in LINKS]
    return [nic_is_down == 1 for _, nic_is_down in found]


def process(memory: Path, do: Callable[[LastWords], None]) -> tuple[int, int]:
    """One that prepares its last words, does that, and waits; the pids of both."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            words = LastWords.prepare(memory)
            do(words)
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            os.write(writer, struct.pack("<q", int(children[0])))
            signal.pause()
        finally:
            os._exit(1)
    beside = struct.unpack("<q", os.read(reader, 8))[0]
    os.close(reader)
    os.close(writer)
    return pid, beside


def wait_for_the_end(beside: int) -> None:
    deadline_s = time.monotonic() + 10
    while process_identity(beside) is not None:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_in_the_links_that_it_had_when_it_died(memory: Path) -> None:
    def do(words: LastWords) -> None:
        for link in LINKS:
            words.add(link)
        words.remove(LINKS[0])

    pid, beside = process(memory, do)
    assert down(memory) == [False, False, False]
    os.kill(beside, signal.SIGTERM)  # as the daemon's end would come to both
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for_the_end(beside)
    assert down(memory) == [False, True, True]


def test_not_where_it_ended_well(memory: Path) -> None:
    def do(words: LastWords) -> None:
        words.add(LINKS[1])
        words.end()

    pid, beside = process(memory, do)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for_the_end(beside)
    assert down(memory) == [False, False, False]
