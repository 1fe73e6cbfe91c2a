"""Run as a program: daemons that are killed on the way.

usage: killed_daemons.py POOL STATE_FILE PID. Each line of input is what a new daemon is to
do, `checkpoint` (of PID) or `restore`, of the image "it", and before which of its calls
into C it kills itself; 0: it does not. The answer: `killed` or `whole`, how many calls it
made, and how many restored processes it has left that the state file knows, and that it
does not know. None of them lives when the answer comes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tiermem.cxlfork.capture.facts import read_children
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.clone_journal import CloneJournal
from tiermem.cxlfork.daemon import ForkDaemon
from tiermem.cxlfork.host import null_stdio
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restoring.cgroups import Cgroups
from tiermem.cxlfork.settings import ForkSettings

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 10.0


class KillAt:
    """A profile function: counts calls into C in all threads, and kills before one."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.calls = 0

    def __call__(self, _frame: FrameType, event: str, _what: Any) -> None:
        if event == "c_call":
            self.calls += 1
            if self.calls == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


async def _act(daemon: ForkDaemon, what: str, pid: int) -> None:
    if what == "checkpoint":
        await daemon.checkpoint(pid, "it", Options())
    else:
        await daemon.restore("it", Policy.MOW, 1, null_stdio())


def _run_daemon(what: str, at: int, settings: ForkSettings, pid: int) -> int:
    """How many calls it took; the daemon goes without a word to what it has restored."""
    daemon = ForkDaemon(settings)
    killer = KillAt(at)
    threading.setprofile(killer)
    sys.setprofile(killer)
    asyncio.run(_act(daemon, what, pid))
    sys.setprofile(None)
    return killer.calls


def _left(journal: CloneJournal) -> tuple[int, int]:
    """How many children there are that the journal knows, and others that do not end."""
    known = {one.identity >> 40 for one in journal.load()}
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        children = set(read_children(os.getpid()))
        if children <= known or time.monotonic() > deadline_s:
            break
        time.sleep(0.001)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return len(children & known), len(children - known)


def main() -> None:
    pool, state_file, pid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    settings = ForkSettings(pool=pool, state_file=state_file, ghosts=0)
    # What a daemon leaves behind is ours.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for line in sys.stdin:
        what, at = line.split()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(writing, b"%d" % _run_daemon(what, int(at), settings, pid))
            finally:
                os._exit(1)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as pipe:
            calls = pipe.read() or at
        known, unknown = _left(CloneJournal(state_file))
        # As the next daemon does.
        Cgroups.find().sweep()
        print("killed" if os.WIFSIGNALED(status) else "whole", calls, known, unknown, flush=True)


if __name__ == "__main__":
    main()
