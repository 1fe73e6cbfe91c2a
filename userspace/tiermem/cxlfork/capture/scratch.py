"""A page of memory in a stopped process, for what the kernel answers its calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tiermem.cxlfork.capture.areas import PROT_EXEC, PROT_READ, PROT_WRITE, Area
from tiermem.cxlfork.capture.memory import Memory
from tiermem.cxlfork.capture.tracing import Calls, StoppedProcess
from tiermem.cxlfork.records import VmaKind
from tiermem.errors import TiermemError
from tiermem.layer.nodes import PAGE_BYTES
from tiermem.native._fork import lib

_SYSCALL = b"\x0f\x05"
_MAP_PRIVATE_ANONYMOUS = 0x22


class Scratch:
    """Made when it is entered, gone when it is left."""

    def __init__(self, stopped: StoppedProcess, memory: Memory, areas: list[Area]) -> None:
        self._stopped, self._memory = stopped, memory
        self._instruction = find_syscall(memory, areas)
        self.address = 0

    @contextmanager
    def calls(self, tid: int) -> Iterator[Calls]:
        """A thread that makes calls."""
        with self._stopped.calls(tid, self._instruction) as calls:
            yield calls

    def read(self, size: int) -> bytes:
        """From its begin."""
        return self._memory.read(self.address, size)

    def __enter__(self) -> Self:
        with self.calls(self._stopped.pid) as calls:
            protection = PROT_READ | PROT_WRITE
            self.address = calls.call(
                lib.SYS_mmap, 0, PAGE_BYTES, protection, _MAP_PRIVATE_ANONYMOUS, -1, 0
            )
        return self

    def __exit__(self, *_error: object) -> None:
        with self.calls(self._stopped.pid) as calls:
            calls.call(lib.SYS_munmap, self.address, PAGE_BYTES)


def find_syscall(memory: Memory, areas: list[Area]) -> int:
    """The address of a `syscall` instruction that the process may execute already."""
    candidates = [a.vma for a in areas if a.vma.protection & PROT_EXEC]
    for vma in sorted(candidates, key=lambda vma: vma.kind is not VmaKind.VDSO):
        at = memory.read(vma.start, vma.end - vma.start).find(_SYSCALL)
        if at >= 0:
            return vma.start + at
    raise TiermemError(
        f"process {memory.pid}: none of its executable mappings has a syscall instruction"
    )
