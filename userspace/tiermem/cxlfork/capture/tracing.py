"""The threads of a process, stopped, and system calls made in its name.

    with StoppedProcess(pid) as stopped:
        stopped.registers(pid)
        with stopped.calls(pid, instruction, stack) as calls:
            calls.call(lib.SYS_brk, 0)

Everything here must happen in one thread of this process. Whatever way it ends, also
by SIGKILL, the process goes on as if nothing had been; `scratch` sees to that for calls.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.restarted_calls import RESTART, first_number
from tiermem.errors import (
    KernelError,
    NoRightError,
    ProcessGoneError,
    TiermemError,
    TimeoutExpiredError,
)
from tiermem.layer.pages.mappings import process_error, read_process_file
from tiermem.native._fork import ffi, lib

STOP_LIMIT_S = 10.0
"""A thread in an uninterruptible sleep stops when that ends; so long it is waited for."""

RAX, RDI, ORIG_RAX, RIP, CS, RSP = 10, 14, 15, 16, 17, 19
"""Places in struct user_regs_struct."""

_SIGNALS_A_READ = 64
_RESTART_BLOCK = -516 & (1 << 64) - 1
_INTERRUPTED = -errno.EINTR & (1 << 64) - 1
_NO_CALL = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Rseq:
    """A thread's area for restartable sequences; address 0: none."""

    address: int
    bytes: int
    signature: int


class StoppedProcess:
    """All threads of `pid`, stopped for as long as this is open."""

    def __init__(self, pid: int, limit_s: float = STOP_LIMIT_S) -> None:
        self.pid = pid
        self.tids: list[int] = []
        self._waiting_places: dict[int, str] = {}
        try:
            self._stop_all(limit_s)
        except BaseException:
            self.resume()
            raise

    def _stop_all(self, limit_s: float) -> None:
        # A thread that is not stopped yet may make another one meanwhile.
        while fresh := [tid for tid in _tids(self.pid) if tid not in self.tids]:
            for tid in fresh:
                self._stop(tid, limit_s)

    def _stop(self, tid: int, limit_s: float) -> None:
        self._waiting_places[tid] = _waiting_place(self.pid, tid)
        err = lib.trace_seize(tid, int(limit_s * 1e9))
        if err == -errno.ESRCH and tid != self.pid:
            return
        if err == -errno.EPERM:
            # A thread that is ending is refused in the same way (ptrace_attach in the kernel).
            if tid != self.pid and _has_ended(self.pid, tid):
                return
            raise NoRightError(
                f"process {self.pid}: may not be stopped by ptrace: that needs root or "
                "CAP_SYS_PTRACE, and a container or kernel.yama.ptrace_scope may forbid it"
            )
        self.tids.append(tid)
        if err == -errno.ETIMEDOUT:
            raise TimeoutExpiredError(
                f"process {self.pid}: thread {tid} did not stop within {limit_s:g} s; "
                "it waits for something that cannot be interrupted (a disk or a network file)"
            )
        self._check(err, f"stop thread {tid}")

    def resume(self) -> None:
        """Let it go on. Twice is once."""
        while self.tids:
            lib.trace_detach(self.tids.pop())

    def registers(self, tid: int) -> list[int]:
        """struct user_regs_struct of a thread."""
        found = ffi.new("uint64_t[]", lib.TRACE_REGISTERS)
        self._check(lib.trace_get_registers(tid, found), f"registers of thread {tid}")
        return list(found)

    def ready_registers(self, tid: int, memory: Memory) -> list[int]:
        """The same as they must be set for a thread to go on anywhere: what its stop has cut
        short is called once more."""
        registers = self.registers(tid)
        if registers[ORIG_RAX] == RESTART and registers[RAX] == _RESTART_BLOCK:
            place = self._waiting_places.get(tid, "")
            number = first_number(memory, registers[RIP], registers[RDI], place)
            registers[ORIG_RAX] = _NO_CALL if number is None else number
            registers[RAX] = _INTERRUPTED if number is None else registers[RAX]
        changed = ffi.new("uint64_t[]", registers)
        lib.trace_ready_registers(changed)
        return list(changed)

    def xstate(self, tid: int) -> bytes:
        """FPU and vector registers, as XSAVE lays them out."""
        room = ffi.new("uint8_t[]", lib.TRACE_XSTATE_BYTES_MAX)
        size = ffi.new("size_t *", lib.TRACE_XSTATE_BYTES_MAX)
        self._check(lib.trace_get_xstate(tid, room, size), f"FPU state of thread {tid}")
        return bytes(ffi.buffer(room, size[0]))

    def signal_mask(self, tid: int) -> int:
        """Which signals a thread blocks: signal n is bit n - 1."""
        mask = ffi.new("uint64_t *")
        self._check(lib.trace_get_signal_mask(tid, mask), f"signal mask of thread {tid}")
        return int(mask[0])

    def pending(self, tid: int, *, shared: bool) -> list[bytes]:
        """siginfo_t of the signals that wait for a thread, or for its process."""
        room = ffi.new("uint8_t[]", _SIGNALS_A_READ * lib.TRACE_SIGINFO_BYTES)
        found: list[bytes] = []
        while True:
            count = lib.trace_peek_signals(tid, len(found), shared, room, _SIGNALS_A_READ)
            self._check(min(count, 0), f"waiting signals of thread {tid}")
            if count == 0:
                return found
            step = lib.TRACE_SIGINFO_BYTES
            found += [bytes(ffi.buffer(room + i * step, step)) for i in range(count)]

    def rseq(self, tid: int) -> Rseq:
        """Where it told the kernel of restartable sequences."""
        found = ffi.new("struct trace_rseq *")
        err = lib.trace_get_rseq(tid, found)
        if err == -errno.EIO:  # the kernel is too old to say
            return Rseq(0, 0, 0)
        self._check(err, f"rseq of thread {tid}")
        return Rseq(found.address, found.bytes, found.signature)

    def robust_list(self, tid: int) -> tuple[int, int]:
        """Address and length of the head of its list of robust futexes."""
        address, size = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        err = lib.trace_get_robust_list(tid, address, size)
        self._check(err, f"robust list of thread {tid}")
        return address[0], size[0]

    @contextmanager
    def calls(self, tid: int, instruction: int, stack: int) -> Iterator[Calls]:
        """A thread that makes calls, by the `syscall` instruction at that address."""
        state = ffi.new("struct trace_calls *")
        self._check(lib.trace_calls_begin(state, tid, instruction, stack), f"use thread {tid}")
        try:
            yield Calls(self, state)
        finally:
            self._check(lib.trace_calls_end(state), f"put thread {tid} back")

    def _check(self, err: int, action: str) -> None:
        if err == -errno.ESRCH:
            raise ProcessGoneError(self.pid)
        if err:
            raise KernelError(f"process {self.pid}: {action}", -err)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.resume()


class Calls:
    """System calls by a stopped thread."""

    def __init__(self, process: StoppedProcess, state: Any) -> None:
        self._process, self._state = process, state

    def call(self, number: int, *arguments: int) -> int:
        """The result, or KernelError."""
        padded = [*arguments, *[0] * (lib.TRACE_ARGUMENTS - len(arguments))]
        passed = ffi.new("uint64_t[]", [value & (1 << 64) - 1 for value in padded])
        result = ffi.new("int64_t *")
        what = f"system call {number} by thread {self._state.tid}"
        self._process._check(lib.trace_call(self._state, number, passed, result), what)
        if -4096 < result[0] < 0:
            raise KernelError(f"process {self._process.pid}: {what}", -result[0])
        return int(result[0])


def _has_ended(pid: int, tid: int) -> bool:
    """Whether a thread is gone, or dead and about to be."""
    try:
        stat = Path(f"/proc/{pid}/task/{tid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "XxZ"


def _waiting_place(pid: int, tid: int) -> str:
    try:
        return read_process_file(pid, f"task/{tid}/wchan")
    except TiermemError:  # it has ended, or the kernel does not say
        return ""


def _tids(pid: int) -> list[int]:
    try:
        return sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
    except OSError as error:
        raise process_error(error, pid, "list its threads") from error
