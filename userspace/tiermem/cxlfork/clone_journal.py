"""Which clones there are, in a file that the next daemon reads.

A line of JSON for each, appended in one write while it is made, so that a restore costs
the same however many run; the file is written anew, aside and renamed, once some have
ended. Nothing is synced: where the host goes down, so do its clones. A line that is not
whole was cut off with its daemon, and its clone ended with it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tiermem.errors import TiermemError

_log = logging.getLogger(__name__)


class SavedClone(BaseModel):
    """A clone as its line has it. identity: of its container's first process."""

    identity: int
    pid: int
    image: str
    policy: str
    started_ns: int
    cgroup: str = ""


class CloneJournal:
    """The file at `path`; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: list[int] | None = None

    def load(self) -> list[SavedClone]:
        """Those of the last daemon, in the order in which they were made. TiermemError where
        the file cannot be read; what is no clone's line is told of and passed over."""
        try:
            lines = self.path.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TiermemError(f"{self.path}: cannot be read: {error.strerror}") from error
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(SavedClone.model_validate_json(line))
            except ValidationError:
                _log.warning("%s: line %d is not a clone's; it is ignored", self.path, number)
        return found

    def add(self, clone: SavedClone) -> None:
        """Note one more. TiermemError where that failed: it is not noted then."""
        line = _line(clone)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            with _opened(self.path, os.O_APPEND) as fd:
                before_bytes = os.fstat(fd).st_size
                if os.write(fd, line) != len(line):
                    os.ftruncate(fd, before_bytes)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise self._not_written(error) from error
        if self._written is not None:
            self._written.append(clone.identity)

    def keep(self, clones: Sequence[SavedClone]) -> None:
        """Forget all others. TiermemError where that failed: the file is as it was."""
        identities = [clone.identity for clone in clones]
        if identities == self._written:
            return
        aside = self.path.with_name(f".{self.path.name}.new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            with _opened(aside, os.O_TRUNC) as fd:
                text = b"".join(map(_line, clones))
                if os.write(fd, text) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            aside.replace(self.path)
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise self._not_written(error) from error
        self._written = identities

    def _not_written(self, error: OSError) -> TiermemError:
        return TiermemError(f"{self.path}: cannot be written: {error.strerror}")


def _line(clone: SavedClone) -> bytes:
    return clone.model_dump_json().encode() + b"\n"


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
