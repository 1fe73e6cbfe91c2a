"""What signals do in a process."""

from __future__ import annotations

import signal
import struct

from tiermem.cxlfork.capture.facts import Status
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.tracing import Calls
from tiermem.cxlfork.records import SIGNALS, Action
from tiermem.native._fork import lib

_SET_BYTES = 8


def read_actions(calls: Calls, scratch: Scratch, status: Status) -> tuple[Action, ...]:
    """Of all signals; asked are those that /proc says do not have the default one."""
    changed = status.number("SigCgt", 16) | status.number("SigIgn", 16)
    # Its flags count although its action is the default one.
    changed |= 1 << signal.SIGCHLD - 1
    actions = []
    for number in range(1, SIGNALS + 1):
        action = Action()
        if changed >> number - 1 & 1:
            calls.call(lib.SYS_rt_sigaction, number, 0, scratch.address, _SET_BYTES)
            action = Action(*struct.unpack("<4Q", scratch.read(32)))
        actions.append(action)
    return tuple(actions)
