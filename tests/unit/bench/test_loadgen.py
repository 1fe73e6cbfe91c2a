"""The load generator against small servers of our own, over a real Unix socket."""

from __future__ import annotations

import itertools
import json
import re
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("loadgen",)
VALUE_BYTES = 100


class Server:
    """Answers requests on one Unix socket and remembers what it was asked."""

    def __init__(self, path: Path, answer: Callable[[Server, bytes], tuple[bytes, bytes]]) -> None:
        self.gets: Counter[int] = Counter()
        self.sets: Counter[int] = Counter()
        self.records = 0
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        waiting = b""
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may have given up
            while data := connection.recv(1 << 16):
                waiting += data
                reply, waiting = self._answer(self, waiting)
                if reply:
                    connection.sendall(reply)


def answer_redis(server: Server, waiting: bytes) -> tuple[bytes, bytes]:
    reply = b""
    while waiting:
        count = int(re.match(rb"\*(\d+)\r\n", waiting)[1])  # type: ignore[index]
        words, at = [], waiting.index(b"\n") + 1
        for _ in range(count):
            end = waiting.find(b"\n", at)
            if end < 0:
                return reply, waiting
            length = int(waiting[at + 1 : end - 1])
            if len(waiting) < end + 1 + length + 2:
                return reply, waiting
            words.append(waiting[end + 1 : end + 1 + length])
            at = end + 1 + length + 2
        waiting = waiting[at:]
        if words[0] == b"DEBUG":
            server.records = int(words[2])
            reply += b"+OK\r\n"
        elif words[0] == b"MGET":
            server.gets.update(int(word[4:]) for word in words[1:])
            reply += b"*%d\r\n" % (len(words) - 1)
            reply += b"$%d\r\n%s\r\n" % (VALUE_BYTES, b"x" * VALUE_BYTES) * (len(words) - 1)
        else:
            assert words[0] == b"SET"
            assert len(words[2]) == VALUE_BYTES
            server.sets[int(words[1][4:])] += 1
            reply += b"+OK\r\n"
    return reply, waiting


def answer_memcached(server: Server, waiting: bytes) -> tuple[bytes, bytes]:
    reply = b""
    while b"\r\n" in waiting:
        line, _, rest = waiting.partition(b"\r\n")
        words = line.split()
        if words[0] == b"version":
            reply += b"VERSION 1\r\n"
        elif words[0] == b"get":
            server.gets.update(int(word[4:]) for word in words[1:])
            value = b"x" * VALUE_BYTES
            for word in words[1:]:
                reply += b"VALUE %s 0 %d\r\n%s\r\n" % (word, VALUE_BYTES, value)
            reply += b"END\r\n"
        else:
            if len(rest) < VALUE_BYTES + 2:
                break
            rest = rest[VALUE_BYTES + 2 :]
            if words[-1] == b"noreply":
                server.records += 1
            else:
                server.sets[int(words[1][4:])] += 1
                reply += b"STORED\r\n"
        waiting = rest
    return reply, waiting


ANSWERS = {"redis": answer_redis, "memcached": answer_memcached}


def load(programs: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(programs / "loadgen"), "clock=none", f"socket={path}"]
    command += [f"value_bytes={VALUE_BYTES}", *arguments]
    commands = "run measure 4000\nquit\n"
    return subprocess.run(command, input=commands, capture_output=True, text=True, timeout=60)


def result(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("protocol", ["redis", "memcached"])
def test_a_zipfian_mix_of_reads_and_updates(programs: Path, tmp_path: Path, protocol: str) -> None:
    server = Server(tmp_path / "socket", ANSWERS[protocol])
    arguments = (f"protocol={protocol}", "records=1000", "read_percent=90", "connections=4")
    answer = result(load(programs, tmp_path / "socket", *arguments))
    asked = server.gets + server.sets
    assert server.records == 1000
    assert asked.total() == answer["requests"] == 4000
    assert 0.87 < server.gets.total() / 4000 < 0.93
    assert min(asked) >= 0 and max(asked) < 1000
    # Zipf 0.99 over 1000 records: the first takes 1 / zeta(1000, 0.99) = 13 %.
    assert 0.09 < asked.most_common(1)[0][1] / 4000 < 0.18
    assert 0 < answer["p50_ns"] <= answer["p99_ns"]


@pytest.mark.parametrize("protocol", ["redis", "memcached"])
def test_a_read_fetches_several_records(programs: Path, tmp_path: Path, protocol: str) -> None:
    server = Server(tmp_path / "socket", ANSWERS[protocol])
    arguments = (f"protocol={protocol}", "records=1000", "read_percent=50", "keys=16")
    result(load(programs, tmp_path / "socket", *arguments))
    assert server.gets.total() + 16 * server.sets.total() == 16 * 4000
    assert 1800 < server.sets.total() < 2200


def test_a_missing_record_is_an_error(programs: Path, tmp_path: Path) -> None:
    def miss(server: Server, waiting: bytes) -> tuple[bytes, bytes]:
        reply, waiting = answer_memcached(server, waiting)
        return (b"END\r\n" if reply.endswith(b"END\r\n") else reply), waiting

    Server(tmp_path / "socket", miss)
    done = load(programs, tmp_path / "socket", "protocol=memcached", "records=10", "keys=2")
    assert done.returncode == 1
    assert "the server answered END" in done.stderr


def test_popular_records_are_not_neighbours(programs: Path, tmp_path: Path) -> None:
    server = Server(tmp_path / "socket", answer_redis)
    result(load(programs, tmp_path / "socket", "records=100000"))
    popular = sorted(key for key, _ in server.gets.most_common(8))
    assert min(b - a for a, b in itertools.pairwise(popular)) > 1
    assert popular[-1] - popular[0] > 10_000


def test_same_seed_same_requests(programs: Path, tmp_path: Path) -> None:
    seen = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        server = Server(tmp_path / name, answer_redis)
        result(load(programs, tmp_path / name, "records=1000", f"seed={seed}"))
        seen.append(server.gets)
    assert seen[0] == seen[1] != seen[2]


def test_a_server_that_refuses_is_an_error(programs: Path, tmp_path: Path) -> None:
    def refuse(_server: Server, _waiting: bytes) -> tuple[bytes, bytes]:
        return b"-ERR not today\r\n", b""

    Server(tmp_path / "socket", refuse)
    done = load(programs, tmp_path / "socket", "records=10")
    assert done.returncode == 1
    assert "the server answered -ERR not today" in done.stderr
