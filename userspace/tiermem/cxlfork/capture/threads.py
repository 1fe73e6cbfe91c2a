"""Threads: registers, signals, and what each told the kernel about itself."""

from __future__ import annotations

import struct

from tiermem.cxlfork.capture.facts import read_stat, read_status
from tiermem.cxlfork.capture.scratch import Scratch
from tiermem.cxlfork.capture.timers import Timers
from tiermem.cxlfork.capture.tracing import StoppedProcess
from tiermem.cxlfork.records import Thread
from tiermem.native._fork import lib

_STACK_BYTES = 24
_PR_GET_TID_ADDRESS = 40


def read_thread(stopped: StoppedProcess, tid: int, scratch: Scratch, timers: Timers) -> Thread:
    """All of one thread. `tid` is its number here, the record has the one it knows itself by."""
    status = read_status(stopped.pid, tid)
    stat = read_stat(stopped.pid, tid)
    with scratch.calls(tid) as calls:
        calls.call(lib.SYS_sigaltstack, 0, scratch.address)
        # struct stack_t: pointer, flags, size
        pointer, flags, size = struct.unpack("<Qi4xQ", scratch.read(_STACK_BYTES))
        calls.call(lib.SYS_prctl, _PR_GET_TID_ADDRESS, scratch.address)
        (clear_child_tid,) = struct.unpack("<Q", scratch.read(8))
    robust_list, robust_bytes = stopped.robust_list(tid)
    rseq = stopped.rseq(tid)
    return Thread(
        tid=status.inner_pid,
        comm=stat.comm,
        registers=tuple(stopped.ready_registers(tid, scratch.memory)),
        xstate=stopped.xstate(tid),
        pending=timers.pending_by_tid[tid],
        signal_mask=stopped.signal_mask(tid),
        clear_child_tid=clear_child_tid,
        robust_list=robust_list,
        robust_bytes=robust_bytes,
        rseq=rseq.address,
        rseq_bytes=rseq.bytes,
        rseq_signature=rseq.signature,
        stack_pointer=pointer,
        stack_bytes=size,
        stack_flags=flags,
        nice=stat.nice,
        policy=stat.policy,
        priority=stat.priority,
    )
