"""Folders of running pods: sockets, logs, memory files. Short paths, and this user's only."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from tiermem.testbed.errors import BootError

_KEEP_LOGS_S = 86400.0


def runtime_root() -> Path:
    """Where all of them are; BootError if somebody else made it."""
    root = Path(tempfile.gettempdir()) / f"tiermem-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise BootError(f"{root} belongs to somebody else; remove it or set TMPDIR")
    return root


def new_run_dir() -> Path:
    """A folder for a pod of this process; clears what pods left that ended long ago."""
    root = runtime_root()
    for old in root.glob("pod-*"):
        owner = old.name.split("-")[1]
        abandoned = time.time() - old.stat().st_mtime > _KEEP_LOGS_S
        if abandoned and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"pod-{os.getpid()}-", dir=root))
