"""Instructions that a process may execute already, for calls to be made by them."""

from __future__ import annotations

from dataclasses import dataclass

from tiermem.cxlfork.capture.areas import PROT_EXEC, Area
from tiermem.cxlfork.capture.memory import Memory
from tiermem.errors import TiermemError

_SYSCALL = b"\x0f\x05"
_SYSCALL_RETURN = b"\x0f\x05\xc3"
# mov $15 (rt_sigreturn), %rax or %eax; syscall. As every C library ends signal handlers.
_RESTORERS = (b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", b"\xb8\x0f\x00\x00\x00\x0f\x05")
_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Instructions:
    """Addresses. restorer: None where there is none, or no `ret` behind the syscall: then
    nothing catches a thread whose tracer dies during a call."""

    syscall: int
    restorer: int | None


def find_instructions(memory: Memory, areas: list[Area]) -> Instructions:
    """TiermemError where there is no syscall instruction at all."""
    texts = [area.vma for area in areas if area.vma.protection & PROT_EXEC]
    found: dict[bytes, int] = {}
    wanted = (_SYSCALL, _SYSCALL_RETURN, *_RESTORERS)
    # Small ones first: C libraries are smaller than the programs that embed everything.
    for vma in sorted(texts, key=lambda vma: vma.end - vma.start):
        for start in range(vma.start, vma.end, _PIECE_BYTES):
            piece = memory.read(start, min(_PIECE_BYTES, vma.end - start))
            for code in wanted:
                at = piece.find(code) if code not in found else -1
                if at >= 0:
                    found[code] = start + at
            restorer = next((found[code] for code in _RESTORERS if code in found), None)
            if restorer is not None and _SYSCALL_RETURN in found:
                return Instructions(found[_SYSCALL_RETURN], restorer)
    if _SYSCALL not in found:
        raise TiermemError(
            f"process {memory.pid}: none of its executable mappings has a syscall instruction"
        )
    return Instructions(found[_SYSCALL], None)
