"""Run as a program: makes checkpoints in processes that are killed on the way.

usage: killed_checkpoints.py POOL RUN_DIR PID; needs preload/kill_at.c preloaded. Each line
of input is a number of ptrace calls, or `copy` or `publish`; the answer is how the process
that made the checkpoint ended, and how many such calls it had made if it was not killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from tiermem.cxlfork.checkpoint import checkpoint
from tiermem.layer.pool import Draft, open_pool


def _die(*_arguments: object, **_keywords: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _checkpoint(when: str, path: Path, run_dir: Path, pid: int) -> None:
    preloaded = ctypes.CDLL(None)
    calls = ctypes.c_long.in_dll(preloaded, "ptrace_calls")
    if when == "publish":
        Draft.publish = _die  # type: ignore[assignment, method-assign]
    elif when != "copy":
        ctypes.c_long.in_dll(preloaded, "kill_at").value = int(when)
    with open_pool(path, 0, run_dir=run_dir) as pool:
        checkpoint(pool, pid, "killed", progress=_die if when == "copy" else None)
        pool.remove("fork/killed")
    print(f"whole {calls.value}", flush=True)


def main() -> None:
    path, run_dir, pid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _checkpoint(line.strip(), path, run_dir, pid)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print("killed", flush=True)


if __name__ == "__main__":
    main()
