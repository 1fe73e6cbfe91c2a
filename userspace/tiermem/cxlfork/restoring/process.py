"""A process that was restored, as whoever restored it sees it."""

from __future__ import annotations

import enum
import os
import select
import signal
import socket
from contextlib import suppress
from typing import Any

from tiermem.cxlfork.restoring.ghost import Ghost
from tiermem.errors import ProcessGoneError, TimeoutExpiredError
from tiermem.native._fork import ffi, lib


class Note(enum.IntFlag):
    """What is not as it was, though the process runs."""

    LAZY_PAGES = lib.RESTORE_NOTE_LAZY_PAGES
    """Pages are copied as they are touched, by userfaultfd, whatever the policy."""
    CLOCKS = lib.RESTORE_NOTE_CLOCKS
    """The kernel has no time namespaces: the monotonic clock is the host's."""
    OOM_SCORE = lib.RESTORE_NOTE_OOM_SCORE
    """oom_score_adj is not what it was: there was no right to lower it."""


class RestoredProcess:
    """See the module.

    pid: its own, as it is known here. init_pid: of process 1 of its namespaces, which
    ends with it. phases: nanoseconds, in their order. cgroup: of all its processes, where
    it has one of its own.
    """

    def __init__(self, ghost: Ghost, pid: int, phases: dict[str, int], notes: Note) -> None:
        self.pid, self.init_pid = pid, ghost.pid
        self.phases, self.notes = phases, notes
        self.cgroup = ghost.cgroup
        self._ghost = ghost
        self._exit_status: int | None = None

    def fileno(self) -> int:
        """Readable when it has ended; for selectors. Not afterwards."""
        return self._ghost.control.fileno()

    def poll(self) -> int | None:
        """Its exit status (negative: the signal that ended it), None while it runs."""
        if self._exit_status is None and is_readable(self._ghost.control, 0):
            self._end(read_report(self._ghost.control)[0])
        return self._exit_status

    def wait(self, timeout_s: float | None = None) -> int:
        """The same, when it has ended. TimeoutExpiredError."""
        if self._exit_status is None:
            if not is_readable(self._ghost.control, timeout_s):
                raise TimeoutExpiredError(f"process {self.pid}: has not ended in {timeout_s} s")
            self.poll()
        assert self._exit_status is not None
        return self._exit_status

    def _end(self, report: Any) -> None:
        """None for a report: its process 1 was killed, and all with it."""
        ended = report is not None and report.outcome == lib.RESTORE_ENDED
        status = int(report.code) if ended else int(signal.SIGKILL)
        self._exit_status = os.waitstatus_to_exitcode(status)
        self._ghost.close()

    def outlive(self) -> None:
        """From here on it goes on when this process ends, also where it was to die alone."""
        self._ghost.command(flags=0)

    def signal(self, number: int) -> None:
        """Send it a signal. ProcessGoneError."""
        if self.poll() is not None:
            raise ProcessGoneError(self.pid)
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            raise ProcessGoneError(self.pid) from None

    def kill(self) -> int:
        """End it, and all processes that it has started; its exit status."""
        with suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.init_pid, signal.SIGKILL)
        return self.wait()


def read_report(control: socket.socket) -> tuple[Any, int]:
    """The next struct restore_report, None at the end; and the pid that came with it."""
    size = ffi.sizeof("struct restore_report")
    credentials = ffi.sizeof("int32_t[3]")
    try:
        data, ancillary, _flags, _address = control.recvmsg(size, socket.CMSG_SPACE(credentials))
    except ConnectionResetError:
        # It was killed before it had read its command.
        return None, 0
    if len(data) != size:
        return None, 0
    pid = 0
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            pid = int.from_bytes(value[:4], "little")
    report = ffi.new("struct restore_report *")
    ffi.buffer(report)[:] = data
    return report, pid


def is_readable(control: socket.socket, timeout_s: float | None) -> bool:
    """Whether something comes within that time; None: wait for it."""
    poller = select.poll()
    poller.register(control, select.POLLIN)
    return bool(poller.poll(None if timeout_s is None else timeout_s * 1000))
