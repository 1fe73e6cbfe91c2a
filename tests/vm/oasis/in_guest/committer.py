"""A process that commits for ever, and how far it says that it is."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

PATIENCE_S = 300
"""An emulated guest on a busy host is slow."""


class Committer:
    """commits.py, and what it has said."""

    def __init__(self, file: Path, journal_mode: str) -> None:
        program = str(Path(__file__).with_name("commits.py"))
        self._process = subprocess.Popen(
            [sys.executable, program, str(file), journal_mode], stdout=subprocess.PIPE, text=True
        )
        self.acknowledged = -1
        self._progress = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._progress:
                self.acknowledged = int(line)
                self._progress.notify_all()

    def go_on(self, commits: int) -> None:
        """Until there are so many more."""
        with self._progress:
            wanted = self.acknowledged + commits
            assert self._progress.wait_for(lambda: self.acknowledged >= wanted, timeout=PATIENCE_S)

    def kill(self) -> int:
        """The last number that it has said."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        return self.acknowledged
