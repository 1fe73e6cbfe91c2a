"""Folders of running pods: sockets, logs, memory files. Short paths, and this user's only."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

from tiermem.testbed.errors import BootError

_KEEP_LOGS_S = 86400.0


def runtime_root() -> Path:
    """Where all of them are; BootError if somebody else made it, or may write there."""
    root = Path(tempfile.gettempdir()) / f"tiermem-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    # Anybody may have put a link there, also one to a folder of ours.
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BootError(f"{root} is not a folder of yours; remove it or set TMPDIR")
    if found.st_mode & 0o077:
        raise BootError(f"{root} is open to others; make it yours alone: chmod 700 {root}")
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
