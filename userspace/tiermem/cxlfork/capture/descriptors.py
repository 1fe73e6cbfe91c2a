"""What a process has open, as the image keeps it; what cannot be kept is refused by number."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container
from dataclasses import replace

from tiermem.cxlfork.capture.files import file_record, is_at_its_name
from tiermem.cxlfork.capture.open_files import OpenFile, read_open_files
from tiermem.cxlfork.capture.options import Options
from tiermem.cxlfork.capture.pipes import pipe_extra
from tiermem.cxlfork.capture.refusals import Refusals
from tiermem.cxlfork.capture.sockets import listening_extra
from tiermem.cxlfork.capture.special_files import (
    epoll_extra,
    event_record,
    memory_extra,
    signal_record,
    timer_extra,
)
from tiermem.cxlfork.records import Descriptor, FdKind

_STANDARD = range(3)
_TERMINAL_MAJORS = (4, 5, *range(136, 144))
_ASYNC = 0o20000
_LEFT_OUT = "--close-fd {} leaves it out"


Reader = Callable[[OpenFile, "_Files"], Descriptor | None]


class _Files:
    """All that is kept open, for those whose record depends on others."""

    def __init__(
        self,
        files: list[OpenFile],
        options: Options,
        refusals: Refusals,
        mapped: Container[tuple[int, int]],
    ) -> None:
        self.kept = files
        self.mapped = mapped
        self.options = options
        self.refusals = refusals

    def refuse(self, file: OpenFile, why: str) -> None:
        """It is named, with what would help."""
        self.refusals.add(f"{file.where} {why}; {_LEFT_OUT.format(file.number)}")


def read_descriptors(
    pid: int, options: Options, refusals: Refusals, mapped: Container[tuple[int, int]]
) -> list[Descriptor]:
    """By number, epoll's last. mapped: device and inode of memory that is mapped and shared."""
    files = [f for f in read_open_files(pid) if f.number not in options.close_fds]
    files = [f for f in files if not _is_closed_socket(f, options)]
    context = _Files(files, options, refusals, mapped)
    found: list[Descriptor] = []
    seen: list[tuple[OpenFile, Descriptor]] = []
    for file in files:
        twin = next((record for other, record in seen if file.is_same(other)), None)
        record = _alias(file, twin) if twin else _read(file, context)
        if record is not None:
            found.append(record)
            if twin is None:
                seen.append((file, record))
    return sorted(found, key=lambda record: (record.kind is FdKind.EPOLL, record.number))


def _alias(file: OpenFile, twin: Descriptor) -> Descriptor:
    flags = int(file.is_closed_on_exec)
    return replace(twin, number=file.number, same_as=twin.number, descriptor_flags=flags, extra=b"")


def _is_closed_socket(file: OpenFile, options: Options) -> bool:
    if not (stat.S_ISSOCK(file.found.st_mode) and options.close_sockets):
        return False
    if not options.relisten:
        return True
    with file.taken() as fd:
        return listening_extra(fd) is None


def _read(file: OpenFile, context: _Files) -> Descriptor | None:
    if file.all("lock"):
        context.refuse(file, "holds a file lock, which another process would hold too")
        return None
    if file.flags & _ASYNC:
        context.refuse(file, "sends signals when it is ready (O_ASYNC)")
        return None
    reader = next(reader for is_it, reader in _READERS if is_it(file))
    return reader(file, context)


def _plain(file: OpenFile, kind: FdKind) -> Descriptor:
    return Descriptor(
        number=file.number,
        kind=kind,
        open_flags=file.open_flags,
        descriptor_flags=int(file.is_closed_on_exec),
    )


def _inherited_or_refused(file: OpenFile, context: _Files, why: str) -> Descriptor | None:
    if file.number in _STANDARD:
        return _plain(file, FdKind.INHERITED)
    context.refuse(file, why)
    return None


def _read_terminal(file: OpenFile, context: _Files) -> Descriptor | None:
    return _inherited_or_refused(file, context, "is a terminal, which only 0, 1 and 2 may be")


def _read_socket(file: OpenFile, context: _Files) -> Descriptor | None:
    if file.number in _STANDARD:
        return _plain(file, FdKind.INHERITED)
    with file.taken() as fd:
        extra = listening_extra(fd)
    if extra is None:
        context.refuse(file, "is a socket with another end; --close-sockets leaves all such out")
        return None
    if not context.options.relisten:
        context.refuse(file, "is a socket that listens; --relisten has it listen again")
        return None
    return replace(_plain(file, FdKind.LISTENING), extra=extra)


def _read_pipe(file: OpenFile, context: _Files) -> Descriptor | None:
    ends = [f for f in context.kept if f.found.st_ino == file.found.st_ino and f.name == file.name]
    accesses = {f.flags & os.O_ACCMODE for f in ends}
    if accesses != {os.O_RDONLY, os.O_WRONLY}:
        return _inherited_or_refused(file, context, "is a pipe whose other end is elsewhere")
    twins = [f for f in ends if f.flags & os.O_ACCMODE == file.flags & os.O_ACCMODE]
    if not all(file.is_same(twin) for twin in twins):
        context.refuse(file, "is a pipe's end that was opened more than once")
        return None
    capacity, held = pipe_extra(file)
    if held and any(end.flags & os.O_DIRECT for end in ends):
        context.refuse(file, "is a pipe that holds packets (O_DIRECT)")
        return None
    return replace(_plain(file, FdKind.PIPE), object=file.found.st_ino, value=capacity, extra=held)


def _read_memory(file: OpenFile, context: _Files) -> Descriptor | None:
    if (file.found.st_dev, file.found.st_ino) in context.mapped:
        context.refuse(file, "is also mapped and shared, and would be a memory of its own")
        return None
    name, seals, held = memory_extra(file)
    record = replace(file_record(file.name, file.found, is_fixed=False), name=name)
    return replace(
        _plain(file, FdKind.MEMORY), file=record, position=file.position, value=seals, extra=held
    )


def _read_path(file: OpenFile, context: _Files) -> Descriptor | None:
    if not is_at_its_name(file.name, file.found):
        context.refuse(file, "is deleted, replaced, or not to be seen from here")
        return None
    if stat.S_ISFIFO(file.found.st_mode) or stat.S_ISBLK(file.found.st_mode):
        context.refuse(file, "is a named pipe or a disk")
        return None
    record = file_record(file.name, file.found, is_fixed=False)
    return replace(_plain(file, FdKind.PATH), file=record, position=file.position)


def _read_special(file: OpenFile, context: _Files) -> Descriptor | None:
    match file.name.removeprefix("anon_inode:").strip("[]"):
        case "eventfd":
            count, is_semaphore = event_record(file)
            return replace(_plain(file, FdKind.EVENT), value=count, object=int(is_semaphore))
        case "signalfd":
            return replace(_plain(file, FdKind.SIGNAL), value=signal_record(file))
        case "timerfd":
            return replace(_plain(file, FdKind.TIMER), extra=timer_extra(file))
        case "eventpoll":
            kept = {f.number: f for f in context.kept}
            extra = epoll_extra(file, kept, context.refusals)
            return replace(_plain(file, FdKind.EPOLL), extra=extra)
        case "io_uring":
            context.refuse(file, "is an io_uring (UV_USE_IO_URING=0 has Node.js do without)")
            return None
        case kind:
            context.refuse(file, f"is of a kind that cannot be taken ({kind})")
            return None


def _is_terminal(file: OpenFile) -> bool:
    found = file.found
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) in _TERMINAL_MAJORS


_READERS: tuple[tuple[Callable[[OpenFile], bool], Reader], ...] = (
    (lambda file: file.name.startswith("anon_inode:"), _read_special),
    (lambda file: stat.S_ISSOCK(file.found.st_mode), _read_socket),
    (lambda file: file.name.startswith("pipe:"), _read_pipe),
    (_is_terminal, _read_terminal),
    (lambda file: file.name.startswith("/memfd:"), _read_memory),
    (lambda _file: True, _read_path),
)
"""The first whose test is true reads it."""
