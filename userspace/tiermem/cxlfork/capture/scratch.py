"""Memory in a stopped process, for what the kernel answers its calls, and for the net that
catches a thread whose tracer is killed during one (native/trace_net.h).

The call that makes this memory has its net below the thread's stack, which is free there
by the x86-64 ABI.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tiermem.cxlfork.capture.areas import PROT_READ, PROT_WRITE, Area
from tiermem.cxlfork.capture.instructions import find_instructions
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.tracing import RSP, Calls, StoppedProcess
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.native._fork import ffi, lib

_MAP_PRIVATE_ANONYMOUS = 0x22
_RED_ZONE_BYTES = 128
_NET_BYTES: int = lib.TRACE_NET_BYTES_MAX
_BYTES = PAGE_BYTES + _NET_BYTES


class Scratch:
    """Made when it is entered, gone when it is left."""

    def __init__(self, stopped: StoppedProcess, memory: Memory, areas: list[Area]) -> None:
        self._stopped, self.memory, self._areas = stopped, memory, areas
        self._instructions = find_instructions(memory, areas)
        self.address = 0

    @contextmanager
    def calls(self, tid: int) -> Iterator[Calls]:
        """A thread that makes calls."""
        with self._calls(tid, self.address + PAGE_BYTES) as calls:
            yield calls

    @contextmanager
    def _calls(self, tid: int, net_at: int) -> Iterator[Calls]:
        stack = self._stopped.registers(tid)[RSP]
        if net_at and self._instructions.restorer is not None:
            self.memory.write(net_at, self._net(tid, net_at, self._instructions.restorer))
            stack = net_at
        with self._stopped.calls(tid, self._instructions.syscall, stack) as calls:
            yield calls

    @contextmanager
    def _calls_without(self) -> Iterator[Calls]:
        """The leader makes calls while there is no scratch memory."""
        tid = self._stopped.pid
        stack = self._stopped.registers(tid)[RSP]
        net_at = (stack - _RED_ZONE_BYTES - _NET_BYTES) & -lib.TRACE_NET_ALIGN
        if not self._is_writable(net_at, stack):
            net_at = 0
        before = self.memory.read(net_at, _NET_BYTES) if net_at else b""
        with self._calls(tid, net_at) as calls:
            yield calls
        if net_at:
            self.memory.write(net_at, before)

    def _is_writable(self, start: int, end: int) -> bool:
        vmas = (area.vma for area in self._areas if area.vma.protection & PROT_WRITE)
        return any(vma.start <= start and end <= vma.end for vma in vmas)

    def _net(self, tid: int, at: int, restorer: int) -> bytes:
        net = ffi.new("struct trace_net *")
        net.at, net.restorer, net.mask = at, restorer, self._stopped.signal_mask(tid)
        net.registers = self._stopped.ready_registers(tid, self.memory)
        xstate = self._stopped.xstate(tid)
        room = ffi.new("uint8_t[]", _NET_BYTES)
        size = lib.trace_net_fill(net, xstate, len(xstate), room)
        return bytes(ffi.buffer(room, size))

    def read(self, size: int) -> bytes:
        """From its begin."""
        return self.memory.read(self.address, size)

    def __enter__(self) -> Self:
        with self._calls_without() as calls:
            protection = PROT_READ | PROT_WRITE
            self.address = calls.call(
                lib.SYS_mmap, 0, _BYTES, protection, _MAP_PRIVATE_ANONYMOUS, -1, 0
            )
        return self

    def __exit__(self, *_error: object) -> None:
        with self._calls_without() as calls:
            calls.call(lib.SYS_munmap, self.address, _BYTES)
