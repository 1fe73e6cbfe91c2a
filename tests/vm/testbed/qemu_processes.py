"""Processes of a pod, as the host's kernel has them."""

from __future__ import annotations

import os
from pathlib import Path


def processes_with(text: str) -> list[int]:
    """Processes other than this one that have a text in their arguments."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in command:
                found.append(int(folder.name))
    return found


def qemus_of(run_dir: Path) -> list[int]:
    """QEMUs of the pod with this folder."""
    return processes_with(str(run_dir))


def supervisors_of(pod: str) -> list[int]:
    """The supervisors of a pod in the background: one, or none."""
    return processes_with(f'{{"pod":"{pod}"')


def cpu_s(pid: int) -> float:
    """CPU time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
