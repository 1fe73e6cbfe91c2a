"""Timers of a process: setitimer's and timer_create's."""

from __future__ import annotations

import re
import struct

from tiermem.cxlfork.capture.facts import read_status
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.tracing import Calls
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


def read_itimers(calls: Calls, scratch: Scratch) -> tuple[Setting, ...]:
    """ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF."""
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


def read_posix_timers(pid: int, calls: Calls, scratch: Scratch) -> list[PosixTimer]:
    """By id."""
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
    return sorted(found, key=lambda timer: timer.id)


def _inner_tid(pid: int, tid: int) -> int:
    """What the process itself calls a thread that /proc calls `tid`."""
    return read_status(pid, tid).inner_pid
