"""Threads, signals, timers and attributes of a process, as its image has them."""

from __future__ import annotations

import os
import resource
import signal
import struct
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.cxlfork.image import Image, open_image
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.seen import CALLS, Seen
from tests.unit.cxlfork.targets import Target, eventually

Taker = Callable[[str], AbstractContextManager[Image]]
NS = 1_000_000_000
RIP, RAX, ORIG_RAX = 16, 10, 15
NO_CALL = (1 << 64) - 1

HEAD = """
import ctypes, os, resource, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
"""
TAIL = """
print("ready", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def take(pool: Pool, start: Starter, tmp_path: Path) -> Taker:
    """Runs Python and takes it."""

    def taken(text: str) -> AbstractContextManager[Image]:
        target = start(HEAD + text + TAIL, tmp_path, python=True)
        assert target.line() == "ready"
        eventually(lambda: target.state == "S", "it sleeps")
        checkpoint(pool, target.pid, "it")
        return open_image(pool, "it")

    return taken


def test_who_it_is(take: Taker, tmp_path: Path) -> None:
    with take(
        "os.chdir(sys.argv[1])\nos.umask(0o27)\nos.setgroups([7, 8])\nos.setsid()\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "libc.prctl(38, 1, 0, 0, 0)\nlibc.prctl(36, 1, 0, 0, 0)\nlibc.prctl(29, 12345, 0, 0, 0)\n"
        "os.setresgid(1, 2, 3)\nos.setresuid(4, 5, 0)\nlibc.prctl(4, 0, 0, 0, 0)\n"
    ) as image:
        process = image.process
    assert (process.cwd, process.umask) == (str(tmp_path), 0o27)
    assert process.groups == (7, 8)
    assert (process.uids, process.gids) == ((4, 5, 0, 5), (1, 2, 3, 2))
    assert (process.is_group_leader, process.is_session_leader) == (True, True)
    assert process.limits[resource.RLIMIT_NOFILE] == (100, 200)
    assert (process.no_new_privs, process.is_subreaper, process.dumpable) == (True, True, 0)
    assert process.timer_slack_ns == 12345
    assert process.executable.name == str(Path("/proc/self/exe").resolve())


def test_where_its_memory_is(take: Taker) -> None:
    with take("") as image:
        process, vmas = image.process, image.vmas
    start_code, end_code, start_data, end_data, heap, heap_end, stack = process.mm[:7]
    assert any(v.start <= start_code < end_code <= v.end and v.protection & 4 for v in vmas)
    assert start_data < end_data
    assert any(v.start <= heap < heap_end <= v.end for v in vmas)
    assert any(v.start <= stack < v.end for v in vmas)
    entries = dict(struct.iter_unpack("<QQ", process.auxv))
    assert entries[6] == resource.getpagesize()


def test_what_signals_do_and_which_wait(take: Taker) -> None:
    with take(
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, 40})\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "signal.pthread_kill(threading.get_ident(), 40)\n"
    ) as image:
        process, thread = image.process, image.threads[0]
    handler = process.actions[signal.SIGUSR1 - 1]
    assert handler.handler > 1
    assert handler.restorer
    assert process.actions[signal.SIGTERM - 1].handler == 1
    assert process.actions[signal.SIGPROF - 1].handler == 0
    assert thread.signal_mask == 1 << signal.SIGUSR2 - 1 | 1 << 39
    assert [int.from_bytes(info[:4], "little") for info in process.pending] == [signal.SIGUSR2]
    assert [int.from_bytes(info[:4], "little") for info in thread.pending] == [40]


def test_timers(take: Taker) -> None:
    with take(
        "signal.setitimer(signal.ITIMER_REAL, 500, 7)\n"
        "timer = ctypes.c_int()\n"
        "event = (ctypes.c_int * 16)(0, 0, 10, 0)\nevent[0] = 0x1234\n"
        "libc.syscall(222, 1, event, ctypes.byref(timer))\n"
        "libc.syscall(223, timer, 0, (ctypes.c_long * 4)(3, 0, 900, 0), None)\n"
    ) as image:
        process, timers = image.process, image.timers
    real = process.itimers[0]
    assert 490 * NS < real.value_ns <= 500 * NS
    assert real.interval_ns == 7 * NS
    assert process.itimers[1].value_ns == 0
    assert len(timers) == 1
    timer = timers[0]
    assert (timer.clock, timer.notify, timer.signal, timer.value) == (1, 0, 10, 0x1234)
    assert timer.setting.interval_ns == 3 * NS
    assert 890 * NS < timer.setting.value_ns <= 900 * NS


def test_its_clocks(take: Taker) -> None:
    with take("") as image:
        host = image.host
    assert 0 < time.monotonic_ns() - host.monotonic_ns < 60 * NS
    assert 0 < time.time_ns() - host.created_ns < 60 * NS
    assert host.kernel == os.uname().release
    assert "fxsr" in host.cpu_flags.split()
    assert host.xfeatures & 3 == 3


def is_at_a_call(target: Target, rip: int) -> bool:
    """Whether the next instruction is `syscall`."""
    return target.memory(rip, 2) == b"\x0f\x05"


def moving(pid: int) -> int:
    """How many of its threads do not wait."""
    stats = [task.joinpath("stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum(stat.rpartition(")")[2].split()[0] != "S" for stat in stats)


def test_a_process_in_namespaces_of_its_own_is_what_it_is_to_itself(
    pool: Pool, start: Starter
) -> None:
    command = (
        "import os, sys\n"
        "os.execvp('unshare', ['unshare', '--pid', '--mount', '--time', '--monotonic', '100000',"
        " '--fork', '--kill-child', sys.executable, '-c', sys.argv[1]])\n"
    )
    text = (
        "timer = ctypes.c_int()\n"
        "event = (ctypes.c_int * 16)(0, 0, 10, 4, os.getpid())\n"
        "libc.syscall(222, 1, event, ctypes.byref(timer))\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
    )
    outer = start(command, HEAD + text + TAIL, python=True)
    assert outer.line() == "ready"
    task = Path(f"/proc/{outer.pid}/task/{outer.pid}")
    pid = int((task / "children").read_text())
    checkpoint(pool, pid, "it")
    with open_image(pool, "it") as image:
        assert image.process.pid == 1
        assert [thread.tid for thread in image.threads] == [1, 2]
        assert [(timer.notify, timer.thread) for timer in image.timers] == [(4, 1)]
        ahead = image.host.monotonic_ns - time.monotonic_ns()
    assert 99_000 * NS < ahead < 100_001 * NS


class TestThreads:
    @pytest.fixture
    def target(self, start: Starter, tmp_path: Path) -> Target:
        target = start("waiting", tmp_path / "seen")
        eventually(lambda: Seen(tmp_path / "seen").all_wait, "all wait")
        return target

    def taken(self, pool: Pool, target: Target, name: str = "it") -> Image:
        checkpoint(pool, target.pid, name)
        return open_image(pool, name)

    def test_all_are_there_the_leader_first(self, pool: Pool, target: Target) -> None:
        tids = {int(task.name) for task in Path(f"/proc/{target.pid}/task").iterdir()}
        with self.taken(pool, target) as image:
            assert image.threads[0].tid == target.pid
            assert {thread.tid for thread in image.threads} == tids

    def test_what_each_told_the_kernel(self, pool: Pool, target: Target) -> None:
        with self.taken(pool, target) as image:
            threads = image.threads
        assert len({thread.clear_child_tid for thread in threads}) == len(threads)
        assert len({thread.robust_list for thread in threads}) == len(threads)
        assert {thread.robust_bytes for thread in threads} == {24}
        assert {thread.comm for thread in threads} == {b"waiting"}
        assert all(len(thread.xstate) >= 576 for thread in threads)

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_call_that_was_cut_short_is_made_again(
        self, pool: Pool, target: Target, times: int
    ) -> None:
        for number in range(times):
            # Each makes its call, or makes it anew.
            eventually(lambda: moving(target.pid) <= 1, "all but one wait")
            with self.taken(pool, target, str(number)) as image:
                threads = image.threads
        at_a_call = [t.registers for t in threads if is_at_a_call(target, t.registers[RIP])]
        assert all(thread.registers[ORIG_RAX] == NO_CALL for thread in threads)
        # read, poll, nanosleep, select, clock_nanosleep, futex, epoll_wait, …; none is
        # restart_syscall, which only the thread itself could make use of.
        numbers = {registers[RAX] for registers in at_a_call}
        assert {0, 7, 202, 232, 128} <= numbers
        assert 219 not in numbers
        assert len(at_a_call) >= len(CALLS)


def test_a_thread_in_a_restartable_sequence_is_at_its_abort_address(
    pool: Pool, start: Starter, tmp_path: Path
) -> None:
    target = start("sequence", tmp_path / "seen")
    abort_at = int(target.line(), 16)

    def seen() -> tuple[int, ...]:
        return struct.unpack("<2Q", (tmp_path / "seen").read_bytes())

    eventually(lambda: seen()[1], "it is in its sequence")
    checkpoint(pool, target.pid, "it")
    rounds = seen()[1]
    with open_image(pool, "it") as image:
        assert image.threads[0].registers[RIP] == abort_at
        assert image.threads[0].rseq
        assert image.threads[0].rseq_signature == 0x53053053
    eventually(lambda: seen()[1] > rounds, "it goes on")
    eventually(lambda: seen()[0] >= 1, "it was told that its sequence was cut short")


def test_a_thread_that_comes_and_goes_does_no_harm(pool: Pool, start: Starter) -> None:
    text = (
        "import threading\nprint('ready', flush=True)\n"
        "while True:\n    thread = threading.Thread(target=lambda: sum(range(1000)))\n"
        "    thread.start()\n    thread.join()\n"
    )
    target = start(text, python=True)
    target.line()
    for number in range(5):
        checkpoint(pool, target.pid, str(number))
    assert target.is_running()
