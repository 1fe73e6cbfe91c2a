"""A ghost: an empty place for a process, made ahead.

A restorer (native/restorer) that is process 1 of namespaces and a cgroup of its own, and
waits for the image that it is to restore. It is used once.

Namespaces and cgroup are made in one step, by clone3(): pyroute2 knows network namespaces
only, and no cgroups.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Self

from tiermem import native
from tiermem.cxlfork.restoring.cgroups import Cgroup, Limits
from tiermem.errors import KernelError, MissingError
from tiermem.native._fork import ffi, lib
from tiermem.native.restorer_build import FILE


class Ghost:
    """See the module. MissingError without the restorer, KernelError without the rights.

    pid: of its process 1. control: the socket that it listens to (restore_protocol.h).
    cgroup: its own, which ends with it; None: it is in the maker's.
    """

    def __init__(self, cgroup: Cgroup | None = None) -> None:
        self.cgroup = cgroup
        program = find_restorer()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # The process's pid comes with its report.
        self.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        with theirs, cgroup.opened() if cgroup else nullcontext(-1) as folder:
            result = lib.fork_spawn(bytes(program), theirs.fileno(), folder)
        if result < 0:
            self.control.close()
            raise KernelError("start a restorer in namespaces of its own", -result)
        self.pid: int = result

    def is_alive(self) -> bool:
        """Whether somebody is there to be sent a command."""
        poller = select.poll()
        poller.register(self.control, 0)
        return not poller.poll(0)

    def command(self, flags: int, image: tuple[int, int] = (0, 0), fds: Sequence[int] = ()) -> None:
        """Send it a struct restore_command; image: where it lies in the pool, and its size.
        Where it has ended, its report may say why."""
        command = ffi.new("struct restore_command *")
        command.version, command.flags = lib.RESTORE_VERSION, flags
        command.image_at, command.image_bytes = image
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self.control, [bytes(ffi.buffer(command))], list(fds))

    def limit(self, limits: Limits) -> None:
        """What may be taken by whatever is restored into it. MissingError where that
        cannot be limited here."""
        if self.cgroup is None:
            raise MissingError("limits need a cgroup for each clone, and there is none here")
        self.cgroup.limit(limits)

    def close(self) -> None:
        """End it, and all that there is in its namespaces and its cgroup."""
        self.control.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        if self.cgroup is not None:
            self.cgroup.kill()
            self.cgroup.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def find_restorer() -> Path:
    """The program; MissingError where it is not built."""
    for folder in native.__path__:
        program = Path(folder) / FILE
        if program.exists():
            return program
    raise MissingError("the restorer is not built: run python3 userspace/tiermem/native/build.py")
