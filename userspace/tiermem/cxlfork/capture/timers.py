"""Timers of a process, setitimer's and timer_create's, and the signals that wait.

They are read together, since timers go on while a process is stopped: one that expires
between being read and its signal being looked for would else go off twice in a restored
process, and one that expires in the other order never.
"""

from __future__ import annotations

import re
import signal
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from tiermem.cxlfork.capture.facts import read_status
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.tracing import Calls, StoppedProcess
from tiermem.cxlfork.records import PosixTimer, Setting
from tiermem.layer.pages.mappings import read_process_file
from tiermem.native._fork import lib

_NOTIFY = {"signal": 0, "none": 1, "thread": 2}
_NOTIFY_THREAD_ID = 4
_ONE = re.compile(
    r"ID: (?P<id>\d+)\n"
    r"signal: (?P<signal>\d+)/(?P<value>\w+)\n"
    r"notify: (?P<notify>\w+)/(?P<whom>pid|tid)\.(?P<thread>\d+)\n"
    r"ClockID: (?P<clock>-?\d+)\n"
)
_SIGINFO = struct.Struct("<iii4xi")
"""Of siginfo_t: signal, errno, code; for SI_TIMER the timer's id."""
_SI_TIMER = -2
_SI_KERNEL = 0x80
_ITIMER_SIGNALS = (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF)


@dataclass(frozen=True)
class Timers:
    """As they all were at one moment."""

    itimers: tuple[Setting, ...]
    """ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF."""
    posix: tuple[PosixTimer, ...]
    """By id."""
    pending: tuple[bytes, ...]
    """siginfo_t of the signals that wait for the process."""
    pending_by_tid: Mapping[int, tuple[bytes, ...]]
    """And for each thread."""


def read_timers(stopped: StoppedProcess, calls: Calls, scratch: Scratch) -> Timers:
    """`calls` are by its leader.

    Read anew as long as any has expired meanwhile. A timer whose signal waits already sends
    no second one, so each is the cause at most once.
    """
    before = _expired(*_read_pending(stopped))
    while True:
        itimers = _read_itimers(calls, scratch)
        posix = _read_posix_timers(stopped.pid, calls, scratch)
        pending, by_tid = _read_pending(stopped)
        after = _expired(pending, by_tid)
        if after <= before:
            return Timers(itimers, posix, pending, by_tid)
        before = after


def _read_pending(
    stopped: StoppedProcess,
) -> tuple[tuple[bytes, ...], Mapping[int, tuple[bytes, ...]]]:
    by_tid = {tid: tuple(stopped.pending(tid, shared=False)) for tid in stopped.tids}
    return tuple(stopped.pending(stopped.pid, shared=True)), by_tid


def _expired(
    pending: tuple[bytes, ...], by_tid: Mapping[int, tuple[bytes, ...]]
) -> set[tuple[int, int]]:
    """Which timers' signals wait: SI_TIMER with the id, or SI_KERNEL with setitimer's signal."""
    found = set()
    for siginfo in (*pending, *chain.from_iterable(by_tid.values())):
        number, _errno, code, timer = _SIGINFO.unpack_from(siginfo)
        if code == _SI_TIMER:
            found.add((code, timer))
        elif code == _SI_KERNEL and number in _ITIMER_SIGNALS:
            found.add((code, number))
    return found


def _read_itimers(calls: Calls, scratch: Scratch) -> tuple[Setting, ...]:
    found = []
    for which in range(lib.IMAGE_ITIMERS):
        calls.call(lib.SYS_getitimer, which, scratch.address)
        interval_s, interval_us, value_s, value_us = struct.unpack("<4q", scratch.read(32))
        found.append(
            Setting(
                value_ns=(value_s * 1_000_000 + value_us) * 1000,
                interval_ns=(interval_s * 1_000_000 + interval_us) * 1000,
            )
        )
    return tuple(found)


def _read_posix_timers(pid: int, calls: Calls, scratch: Scratch) -> tuple[PosixTimer, ...]:
    found = []
    for timer in _ONE.finditer(read_process_file(pid, "timers")):
        number = int(timer["id"])
        calls.call(lib.SYS_timer_gettime, number, scratch.address)
        interval_s, interval_ns, value_s, value_ns = struct.unpack("<4q", scratch.read(32))
        is_for_thread = timer["whom"] == "tid"
        found.append(
            PosixTimer(
                id=number,
                clock=int(timer["clock"]),
                notify=_NOTIFY[timer["notify"]] | (_NOTIFY_THREAD_ID if is_for_thread else 0),
                signal=int(timer["signal"]),
                value=int(timer["value"], 16),
                thread=_inner_tid(pid, int(timer["thread"])) if is_for_thread else 0,
                setting=Setting(
                    value_ns=value_s * 1_000_000_000 + value_ns,
                    interval_ns=interval_s * 1_000_000_000 + interval_ns,
                ),
            )
        )
    return tuple(sorted(found, key=lambda timer: timer.id))


def _inner_tid(pid: int, tid: int) -> int:
    """What the process itself calls a thread that /proc calls `tid`."""
    return read_status(pid, tid).inner_pid
