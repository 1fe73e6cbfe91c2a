"""The descriptors of a process as /proc shows them, and which of them share an open file."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tiermem.cxlfork.capture.facts import PROC, read_link
from tiermem.cxlfork.process_fds import fd_of_process
from tiermem.errors import KernelError
from tiermem.layer.pages.mappings import process_error, read_process_file
from tiermem.native._fork import lib

_NOT_KEPT = os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OpenFile:
    """One descriptor. name: where its link leads; info: the lines of its fdinfo."""

    pid: int
    number: int
    name: str
    found: os.stat_result
    position: int
    flags: int
    info: tuple[tuple[str, str], ...]

    @property
    def open_flags(self) -> int:
        """As open(2) would need them again."""
        return self.flags & ~_NOT_KEPT

    @property
    def is_closed_on_exec(self) -> bool:
        """FD_CLOEXEC."""
        return bool(self.flags & os.O_CLOEXEC)

    @property
    def where(self) -> str:
        """For people."""
        return f"descriptor {self.number} ({self.name})"

    def all(self, name: str) -> list[str]:
        """Every line of that name."""
        return [value for key, value in self.info if key == name]

    def one(self, name: str, default: str = "0") -> str:
        """The line of that name."""
        return next(iter(self.all(name)), default)

    def taken(self) -> AbstractContextManager[int]:
        """A descriptor of our own for the same open file."""
        return fd_of_process(self.pid, self.number, self.where)

    def looked_at_again(self) -> OpenFile:
        """As /proc shows it now."""
        return _read(self.pid, self.number)

    def is_same(self, other: OpenFile) -> bool:
        """Whether both numbers stand for one open file."""
        if (self.found.st_dev, self.found.st_ino) != (other.found.st_dev, other.found.st_ino):
            return False
        answer = lib.process_fds_are_same(self.pid, self.number, other.number)
        if answer < 0:
            raise KernelError(f"process {self.pid}: compare {self.where}", -answer)
        return bool(answer)


def read_open_files(pid: int) -> list[OpenFile]:
    """All of them, by number."""
    folder = PROC / str(pid) / "fd"
    try:
        numbers = sorted(int(entry.name) for entry in folder.iterdir())
    except OSError as error:
        raise process_error(error, pid, f"list {folder}") from error
    return [_read(pid, number) for number in numbers]


def _read(pid: int, number: int) -> OpenFile:
    text = read_process_file(pid, f"fdinfo/{number}")
    pairs = [line.partition(":") for line in text.splitlines()]
    info = tuple((name.strip(), value.strip()) for name, _, value in pairs)
    fields = dict(info)
    return OpenFile(
        pid=pid,
        number=number,
        name=read_link(pid, f"fd/{number}"),
        found=(PROC / str(pid) / f"fd/{number}").stat(),
        position=int(fields["pos"]),
        flags=int(fields["flags"], 8),
        info=info,
    )
