"""What a process is and may do: the same before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import Cloner
from tests.unit.cxlfork.restoring.test_descriptors import same

STATUS = """
fields = ("Name", "Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd",
          "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "THP_enabled", "Threads")
def shown():
    lines = open("/proc/self/status").read().splitlines()
    for line in lines:
        if line.split(":")[0] in fields:
            print(line)
    for name in ("limits", "auxv", "cmdline", "environ", "personality", "oom_score_adj",
                 "coredump_filter", "timerslack_ns"):
        try:
            print(name, open("/proc/self/" + name, "rb").read())
        except OSError as error:
            print(name, error)
    print(os.getcwd(), os.getpid(), os.readlink("/proc/self/exe"), os.getpriority(0, 0))
    stat = open("/proc/self/stat").read().rpartition(")")[2].split()
    print(stat[17], stat[20], stat[23:26], stat[37:39], stat[42:49])
"""


def test_a_plain_process(start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    same(STATUS + "ready()\nshown()\n", start, cloner, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        "os.chdir(folder); os.umask(0o31)",
        "os.nice(3); libc.prctl(15, b'another', 0, 0, 0); libc.prctl(29, 70000, 0, 0, 0)",
        "import resource; resource.setrlimit(7, (100, 200)); resource.setrlimit(4, (0, 0))",
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
        "os.setsid()",
        "libc.personality(0x0040000); libc.prctl(41, 1, 0, 0, 0)",
        "libc.prctl(36, 1, 0, 0, 0); libc.prctl(4, 0, 0, 0, 0)",
        "signal.signal(10, signal.SIG_IGN); signal.pthread_sigmask(0, {12, 34, 2})\n"
        "os.kill(os.getpid(), 12); signal.pthread_kill(threading.get_ident(), 34)",
    ],
)
def test_what_it_set_itself(change: str, start: Starter, cloner: Cloner, tmp_path: Path) -> None:
    same(
        f"{STATUS}{change}\nready()\nshown()\n"
        "print(os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid(), libc.prctl(3, 0, 0, 0, 0),\n"
        "      os.sched_getscheduler(0))\n",
        start,
        cloner,
        tmp_path,
    )


@pytest.mark.parametrize(
    "change",
    [
        "os.setgroups([5, 7]); os.setresgid(1, 2, 3); os.setresuid(4, 5, 6)",
        # Without rights, but with no_new_privs.
        "libc.prctl(38, 1, 0, 0, 0); os.setgroups([]); os.setgid(1000); os.setuid(1000)",
        # With one capability that it hands on, and few that it can ever have.
        "libc.prctl(24, 21, 0, 0, 0); libc.prctl(8, 1, 0, 0, 0); os.setresuid(9, 9, 9)\n"
        "header = (ctypes.c_uint32 * 2)(0x20080522, 0)\n"
        "libc.capset(header, (ctypes.c_uint32 * 6)(1 << 10, 1 << 10, 1 << 10, 0, 0, 0))\n"
        "libc.prctl(47, 2, 10, 0, 0)",
    ],
)
def test_users_and_capabilities(
    change: str, start: Starter, cloner: Cloner, tmp_path: Path
) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and len(folder.parts) > 2:
            folder.chmod(0o755)
    # What it prints itself is for root alone once it is somebody else.
    text = STATUS.replace('"auxv", ', "").replace('"environ", ', "").replace("os.readlink", "str")
    same(f"{text}{change}\nready()\nshown()\n", start, cloner, tmp_path)
