"""What /proc says of a process, parsed: status, stat, namespaces, children."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tiermem.errors import ProcessGoneError
from tiermem.layer.pages.mappings import process_error, read_process_file

PROC = Path("/proc")

# Field numbers of proc(5)'s stat, which counts from 1.
_STAT_PPID, _STAT_PGRP, _STAT_SESSION, _STAT_NICE = 4, 5, 6, 19
_STAT_START_CODE, _STAT_END_CODE, _STAT_START_STACK = 26, 27, 28
_STAT_PRIORITY, _STAT_POLICY = 40, 41
_STAT_START_DATA = 45


@dataclass(frozen=True, slots=True)
class Status:
    """/proc/PID/status."""

    fields: dict[str, str]

    def number(self, name: str, base: int = 10) -> int:
        """A field of one number; 0 where this kernel has none."""
        return int(self.fields.get(name, "0").split()[0], base)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A field of several."""
        return tuple(map(int, self.fields.get(name, "").split()))

    @property
    def inner_pid(self) -> int:
        """Its number in its own PID namespace."""
        return self.numbers("NSpid")[-1]

    @property
    def credentials(self) -> tuple[str, ...]:
        """Who it is and what it may do."""
        names = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        return tuple(self.fields[name] for name in names)


@dataclass(frozen=True, slots=True)
class Stat:
    """/proc/PID/stat."""

    comm: bytes
    ppid: int
    process_group: int
    session: int
    nice: int
    priority: int
    policy: int
    code: tuple[int, int]
    stack_start: int
    data: tuple[int, int]
    heap_start: int
    arguments: tuple[int, int]
    environment: tuple[int, int]


def read_status(pid: int, tid: int | None = None) -> Status:
    """Of a process, or of one of its threads."""
    text = read_process_file(pid, _name(tid, "status"))
    pairs = (line.partition(":") for line in text.splitlines())
    return Status({name: value.strip() for name, _, value in pairs})


def read_stat(pid: int, tid: int | None = None) -> Stat:
    """Of a process, or of one of its threads."""
    text = read_process_file(pid, _name(tid, "stat"))
    before, _, after = text.rpartition(")")
    # The state follows the name; it is field 3.
    numbers = [0, 0, 0, 0, *map(int, after.split()[1:])]
    from_start_data = _STAT_START_DATA
    data_end, heap_start, arg_start, arg_end, env_start, env_end = numbers[
        from_start_data + 1 : from_start_data + 7
    ]
    return Stat(
        comm=before.partition("(")[2].encode(errors="surrogateescape"),
        ppid=numbers[_STAT_PPID],
        process_group=numbers[_STAT_PGRP],
        session=numbers[_STAT_SESSION],
        nice=numbers[_STAT_NICE],
        priority=numbers[_STAT_PRIORITY],
        policy=numbers[_STAT_POLICY],
        code=(numbers[_STAT_START_CODE], numbers[_STAT_END_CODE]),
        stack_start=numbers[_STAT_START_STACK],
        data=(numbers[from_start_data], data_end),
        heap_start=heap_start,
        arguments=(arg_start, arg_end),
        environment=(env_start, env_end),
    )


def read_children(pid: int) -> list[int]:
    """Children of all its threads, those that have ended and were not waited for included."""
    try:
        tids = [task.name for task in (PROC / str(pid) / "task").iterdir()]
    except OSError as error:
        raise process_error(error, pid, "list its threads") from error
    found: list[int] = []
    for tid in tids:
        # A thread that has ended meanwhile has left its children to another one.
        with suppress(ProcessGoneError):
            found += map(int, read_process_file(pid, f"task/{tid}/children").split())
    return found


def read_binary(pid: int, name: str) -> bytes:
    """A file of /proc/PID that is no text."""
    path = PROC / str(pid) / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise process_error(error, pid, f"read {path}") from error


def read_link(pid: int, name: str) -> str:
    """Where a link of /proc/PID leads to."""
    path = PROC / str(pid) / name
    try:
        return os.readlink(path)  # noqa: PTH115 - Path would normalise what the kernel says
    except OSError as error:
        raise process_error(error, pid, f"read {path}") from error


def is_in_our_namespace(pid: int, kind: str) -> bool:
    """Whether it shares ours of that kind (`user`, `net`, …)."""
    return read_link(pid, f"ns/{kind}") == read_link(os.getpid(), f"ns/{kind}")


def _name(tid: int | None, file: str) -> str:
    return file if tid is None else f"task/{tid}/{file}"
