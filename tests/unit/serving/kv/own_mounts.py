"""Programs in a mount namespace of their own, where disks may be small, full or read-only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run_mounted(mounts: str, program: str, folder: Path) -> str:
    """What a Python program, given the folder, says after `mounts`: shell, which has the folder as
    $2. Fails if it does; skips where nothing may be mounted."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("mounting needs a mount namespace of one's own")
    script = f'set -e; {mounts}; exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, sys.executable, program, str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
