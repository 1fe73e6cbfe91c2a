"""Which processes of a host are there yet."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tiermem.layer.pool.local import is_running, process_identity

FIRST_THREAD_ENDS = """
import ctypes, os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0))).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_process_is_there_until_its_last_thread_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", FIRST_THREAD_ENDS], stdin=subprocess.PIPE)
    identity = process_identity(process.pid)
    assert identity is not None
    deadline_s = time.monotonic() + 30
    while state_of(process.pid) != "Z":
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert is_running(identity)
    assert process.stdin is not None
    process.stdin.close()
    while is_running(identity):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    # Ended, and not waited for.
    assert state_of(process.pid) == "Z"
    process.wait()
    assert process_identity(process.pid) is None
