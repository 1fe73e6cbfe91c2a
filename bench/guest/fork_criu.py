"""CRIU as it is used: `criu dump` into a folder, `criu restore` out of it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from pathlib import Path

from bench.guest.fork_instances import Instance, Pipes
from bench.guest.processes import RunError

_PR_SET_CHILD_SUBREAPER = 36
_STATISTICS = re.compile(r"^(Restore|Forking) time: (\d+) us", re.MULTILINE)


def adopt_orphans() -> None:
    """What criu restores is left to this process when criu ends."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class CriuImage:
    """A process's images in a folder. The process goes on; its restored selves need its
    number, so it has to have ended when the first is wanted."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid, self.folder = pid, folder
        folder.mkdir(parents=True, exist_ok=True)
        links = [(Path(f"/proc/{pid}/fd") / fd).readlink() for fd in ("0", "1")]
        self._pipes = [str(link) for link in links]
        _run(["criu", "dump", "-t", str(pid), "-D", str(folder), "-R", "-v1", "-o", "dump.log"])

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(file.stat().st_size for file in self.folder.iterdir())

    def restore(self, pipes: Pipes) -> tuple[Instance, subprocess.Popen[str]]:
        """The process, being restored; and criu, for `statistics`."""
        words = ["criu", "restore", "-d", "-D", str(self.folder), "-v1", "-o", "restore.log"]
        words.append("--display-stats")
        for fd, pipe in zip(pipes.given, self._pipes, strict=True):
            words += ["--inherit-fd", f"fd[{fd}]:{pipe}"]
        criu = subprocess.Popen(
            words, pass_fds=pipes.given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        pipes.close_given()

        def end() -> None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

        return Instance(self.pid, pipes.requests, pipes.answers, end), criu

    def statistics(self, criu: subprocess.Popen[str]) -> dict[str, int]:
        """What criu says of its restore, ns. RunError where it failed."""
        said, _ = criu.communicate()
        if criu.returncode != 0:
            raise RunError(f"criu restore: {said.strip()} {self._log('restore.log')}")
        found = dict(_STATISTICS.findall(said))
        return {name.lower(): int(microseconds) * 1000 for name, microseconds in found.items()}

    def _log(self, name: str) -> str:
        log = self.folder / name
        return log.read_text(errors="replace").strip()[-500:] if log.exists() else ""


def _run(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        folder = Path(words[words.index("-D") + 1])
        log = folder / words[words.index("-o") + 1]
        text = log.read_text(errors="replace") if log.exists() else ""
        raise RunError(f"{' '.join(words[:2])}: {done.stderr.strip()} {text.strip()[-1000:]}")


def warm_up() -> None:
    """Have it find out about the kernel now: it keeps that for later calls."""
    subprocess.run(["criu", "check"], capture_output=True, env=os.environ)
