"""A restored process is the same process to itself: the same output from there on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tiermem.cxlfork.restore import Note

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import GO_ON, Cloner
from tests.unit.cxlfork.seen import CALLS, Seen
from tests.unit.cxlfork.targets import eventually

COMPUTING = (
    GO_ON
    + """
import random, threading
random.seed(7)
table = {str(i): random.random() for i in range(20000)}
def digits():
    q, r, t, k, n, l = 1, 0, 1, 1, 3, 3
    while True:
        if 4 * q + r - t < n * t:
            yield n
            q, r, n = q * 10, 10 * (r - n * t), 10 * (3 * q + r) // t - 10 * n
        else:
            q, r, t, k, n, l = (q * k, (2 * q + r) * l, t * l, k + 1,
                                (q * (7 * k + 2) + r * l) // (t * l), l + 2)
pi = digits()
def step(i):
    return f"{i} {next(pi)} {random.random()} {table[str(i * 31 % 20000)]}"
for i in range(100):
    step(i)
print("ready", flush=True)
wait_for(sys.argv[1])
for i in range(100, 200):
    print(step(i), flush=True)
sys.exit(7)
"""
)


def test_numbers_go_on_where_they_were(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    target = start("counter", file, 3000)
    eventually(lambda: file.exists() and file.read_text().count("\n") > 20, "it counts")
    source = cloner.take(target)
    target.end()
    before = file.read_text().split()
    clone = cloner.restore(source)
    assert clone.process.wait(20) == 3
    first, *rest = map(int, file.read_text().split()[len(before) :])
    assert 20 <= first <= len(before)
    assert rest == list(range(first + 1, 3000))


def test_python_computes_on(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    target = start(COMPUTING, go, python=True)
    assert target.line() == "ready"
    source = cloner.take(target)
    clones = [cloner.restore(source) for _ in range(3)]
    go.touch()
    wanted = [target.line() for _ in range(100)]
    for clone in clones:
        assert [clone.line() for _ in range(100)] == wanted
        assert clone.process.wait(20) == 7
    assert target.wait() == 7


def test_threads_wait_on_and_compute_on(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    seen = Seen(tmp_path / "seen")
    target = start("waiting", tmp_path / "seen")
    eventually(lambda: seen.all_wait, "all wait")
    source = cloner.take(target)
    target.end()
    clone = cloner.restore(source)
    before = seen.spins
    eventually(lambda: seen.spins > before + 1, "it computes")
    assert seen.back() == []
    seen.go()
    assert clone.process.wait(20) == 0
    assert seen.results() == dict.fromkeys(CALLS, 1)
    assert seen.wrong_sums == 0


def test_locks_and_what_threads_have_of_their_own(start: Starter, cloner: Cloner) -> None:
    target = start("threads")
    assert target.line() == "ready"
    source = cloner.take(target)
    for _ in range(2):
        clone = cloner.restore(source)
        os.kill(clone.process.pid, 10)
        lines = {clone.line() for _ in range(5)}
        assert lines == {*(f"thread {i} has {i} and its name" for i in range(4)), "sum is right"}
        assert clone.process.wait(20) == 0


def test_the_clocks_go_on(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    go = tmp_path / "go"
    text = GO_ON + "print('ready', flush=True)\nwait_for(sys.argv[1])\n"
    target = start(text + "print(time.monotonic_ns(), flush=True)\n", go, python=True)
    assert target.line() == "ready"
    before_ns = time.monotonic_ns()
    source = cloner.take(target)
    time.sleep(0.5)
    clone = cloner.restore(source)
    if clone.process.notes & Note.CLOCKS:
        pytest.skip("this kernel refuses time namespaces")
    go.touch()
    assert int(target.line()) <= time.monotonic_ns()
    assert before_ns <= int(clone.line()) <= time.monotonic_ns() - 500_000_000
