"""Calls with a relative timeout that were interrupted before: the kernel has noted how they
go on, and only their thread can make use of that. A restored one makes them anew, and for
that it must be known which it was.
"""

from __future__ import annotations

from tiermem.cxlfork.capture.memory import Memory
from tiermem.errors import KernelError
from tiermem.native._fork import lib

RESTART: int = lib.SYS_restart_syscall

_SYSCALL_BYTES = 2
_MOVE_TO_EAX = 0xB8
_CLOCKS = 16
_BY_WAITING_PLACE = (
    ("nanosleep", lib.SYS_nanosleep),
    ("futex", lib.SYS_futex),
    ("poll", lib.SYS_poll),
)
_CALLS = frozenset({lib.SYS_clock_nanosleep, *(number for _, number in _BY_WAITING_PLACE)})


def first_number(memory: Memory, rip: int, rdi: int, waiting_place: str) -> int | None:
    """Which call a thread made before the kernel turned it into restart_syscall, by the code
    before it, or by where in the kernel the thread waited; None where neither tells."""
    try:
        code = memory.read(rip - _SYSCALL_BYTES - 5, 5)
    except KernelError:
        code = b"\0" * 5
    if code[0] == _MOVE_TO_EAX and (number := int.from_bytes(code[1:], "little")) in _CALLS:
        return number
    for name, number in _BY_WAITING_PLACE:
        if name in waiting_place:
            # Its first argument is a clock, which no address is.
            is_of_clock = number == lib.SYS_nanosleep and (rdi < _CLOCKS or rdi >> 63)
            return int(lib.SYS_clock_nanosleep if is_of_clock else number)
    return None
