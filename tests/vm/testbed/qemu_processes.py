"""QEMU processes of a pod, as the host's kernel has them."""

from __future__ import annotations

import os
from pathlib import Path


def qemus_of(run_dir: Path) -> list[int]:
    """Processes other than this one that have a folder of the pod in their arguments."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if str(run_dir).encode() in command:
                found.append(int(folder.name))
    return found


def cpu_s(pid: int) -> float:
    """CPU time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
