"""What cannot be checkpointed is told before it is touched, and goes on."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiermem.cxlfork.capture import tracing
from tiermem.cxlfork.capture.refusals import RefusedError
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.errors import NameTakenError, NoRightError, NoSpaceError, ProcessGoneError
from tiermem.layer.pool import Pool

from tests.unit.cxlfork.conftest import POOL_BYTES, Starter
from tests.unit.cxlfork.targets import Target, eventually

HEAD = "import ctypes, mmap, os, struct, sys, time\nlibc = ctypes.CDLL(None, use_errno=True)\n"
KERNEL = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2]))
TAIL = "print('ready', flush=True)\ntime.sleep(1000)\n"


def started(start: Starter, text: str, tmp_path: Path) -> Target:
    target = start(HEAD + text + TAIL, tmp_path, python=True)
    assert target.line() == "ready"
    return target


def refused(pool: Pool, target: Target) -> tuple[str, ...]:
    with pytest.raises(RefusedError) as caught:
        checkpoint(pool, target.pid, "it")
    assert pool.entries(unfinished=True) == []
    eventually(lambda: target.status("TracerPid") == "0", "it is let go")
    assert target.is_running()
    return caught.value.reasons


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("if os.fork() == 0: libc.prctl(1, 9); time.sleep(1000)\n", "it has a child, process"),
        (
            # It waits for a child of vfork, and could not be stopped.
            "if libc.syscall(56, 0x4000 | 17, 0, 0, 0, 0) == 0:\n"
            "    libc.prctl(1, 9)\n    print('ready', flush=True)\n    time.sleep(1000)\n",
            "it has a child, process",
        ),
        ("if os.fork() == 0: os._exit(0)\ntime.sleep(0.1)\n", "it has a child, process"),
        (
            "one = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n"
            "all = ctypes.create_string_buffer(struct.pack('HQ', 1, ctypes.addressof(one)))\n"
            "libc.prctl(38, 1, 0, 0, 0)\nlibc.prctl(22, 2, all)\n",
            "seccomp",
        ),
        (
            "key = libc.shmget(0, 4096, 0o1600)\nlibc.syscall(30, key, 0, 0)\n"
            "libc.shmctl(key, 0, None)\n",
            "System V shared memory",
        ),
        ("libc.unshare(0x40000000)\n", "another net namespace"),
        ("libc.unshare(0x04000000)\n", "another uts namespace"),
        ("os.chroot(sys.argv[1])\n", "chroot"),
        ("p = sys.argv[1] + '/d'\nos.mkdir(p)\nos.chdir(p)\nos.rmdir(p)\n", "working folder"),
        (
            "fd = os.memfd_create('x')\nos.truncate(fd, 4096)\n"
            "a, b = mmap.mmap(fd, 4096), mmap.mmap(fd, 4096)\n",
            "mapped more than once",
        ),
    ],
)
def test_what_it_cannot_be(pool: Pool, start: Starter, tmp_path: Path, text: str, why: str) -> None:
    reasons = refused(pool, started(start, text, tmp_path))
    assert any(why in reason for reason in reasons)


def test_guard_regions(pool: Pool, start: Starter) -> None:
    text = (
        "libc.mmap.restype = ctypes.c_void_p\n"
        "libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]\n"
        "at = libc.mmap(None, 8192, 3, 0x22, -1, 0)\nctypes.memset(at, 1, 1)\n"
        "print(libc.madvise(at + 4096, 4096, 102), flush=True)\ntime.sleep(1000)\n"
    )
    target = start(HEAD + text, python=True)
    if target.line() != "0" or KERNEL < (6, 15):
        pytest.skip("this kernel has no guard regions, or does not tell of them")
    assert "guard regions" in refused(pool, target)[0]


def test_a_process_that_is_traced_already(pool: Pool, start: Starter, tmp_path: Path) -> None:
    target = started(start, "", tmp_path)
    with StoppedProcess(target.pid), pytest.raises(RefusedError) as caught:
        checkpoint(pool, target.pid, "it")
    assert f"process {os.getpid()} traces it" in caught.value.reasons[0]


def test_itself(pool: Pool) -> None:
    with pytest.raises(RefusedError, match="the one that was asked"):
        checkpoint(pool, os.getpid(), "it")


def test_without_the_right_to(monkeypatch: pytest.MonkeyPatch, start: Starter) -> None:
    target = start("import time\nprint(flush=True)\ntime.sleep(100)\n", python=True)
    target.line()
    fake = SimpleNamespace(trace_seize=lambda *_: -errno.EPERM)
    monkeypatch.setattr(tracing, "lib", fake)
    with pytest.raises(NoRightError, match="CAP_SYS_PTRACE"):
        StoppedProcess(target.pid)


def test_a_process_that_has_ended(pool: Pool) -> None:
    with subprocess.Popen(["true"]) as ended:
        eventually(lambda: "Z" in Path(f"/proc/{ended.pid}/stat").read_text().split()[2], "it ends")
        with pytest.raises(RefusedError, match="has ended"):
            checkpoint(pool, ended.pid, "it")
    with pytest.raises(ProcessGoneError):
        checkpoint(pool, ended.pid, "it")


def test_a_name_that_is_taken(pool: Pool, start: Starter, tmp_path: Path) -> None:
    target = started(start, "", tmp_path)
    checkpoint(pool, target.pid, "it")
    with pytest.raises(NameTakenError, match="'it'"):
        checkpoint(pool, target.pid, "it")


def test_a_pool_that_is_too_small(pool: Pool, start: Starter, tmp_path: Path) -> None:
    target = started(start, f"kept = os.urandom({POOL_BYTES})\n", tmp_path)
    with pytest.raises(NoSpaceError):
        checkpoint(pool, target.pid, "it")
    assert target.status("TracerPid") == "0"
    assert pool.entries(unfinished=True) == []
