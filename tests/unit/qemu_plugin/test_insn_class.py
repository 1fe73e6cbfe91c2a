"""Which instructions the plugin leaves alone, judged on what the assembler makes of them."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

PLAIN, STACK_ONLY, STRING, SWITCHES_SPACE, CHANGES_MAPPING = range(5)
SLOT = 16

INSTRUCTIONS = {
    STACK_ONLY: """
        push %rax; push %r12; pop %rbx; pop %r15; push $1; push $100000; pushf; popf
        ret; ret $8; leave; call .; call *%rax; call *%r11; push 8(%rsp)
        mov 8(%rsp),%rax; mov %rax,128(%rsp); mov (%rsp),%ecx; movb $1,7(%rsp)
        add %rbx,16(%rsp); addq $1,16(%rsp); cmpl $0,24(%rsp); imul $3,8(%rsp),%rax
        movzbl 3(%rsp),%eax; movslq 4(%rsp),%rdx; movsd 8(%rsp),%xmm1
        movaps %xmm0,32(%rsp); movdqu 16(%rsp),%xmm9; cvtsi2sd 8(%rsp),%xmm0
        cmovne 8(%rsp),%rax; sete 15(%rsp); fldt 16(%rsp); lock incl 4(%rsp)
        mov 8(%rsp),%r9; movl $5,0x1000(%rsp); xchg %rax,(%rsp); negq 8(%rsp)
    """,
    PLAIN: """
        mov (%rax),%rax; mov %rax,8(%rbp); mov 8(%r12),%rax; mov (%rsp,%rax),%rcx
        mov (%rsp,%rax,8),%rcx; mov 8(%rsp,%r12,8),%rcx; mov (%r12,%rax),%rax
        mov %fs:0,%rax; mov %gs:8(%rsp),%rax; mov 0x10(%rip),%rax; call *(%rax)
        call *8(%rax); push (%rax); movsb; stosq; rep lodsb; repne cmpsb
        add %rax,%rbx; nop; lea 8(%rax),%rcx; mov $5,%eax; movaps (%rdi),%xmm0
        lock cmpxchg %rcx,(%rdi); xchg %rax,(%rdi); movabs 0x123456789abcdef0,%al
        prefetcht0 (%rax); syscall; iretq; cpuid; rdtsc; mov %cr3,%rax
        invd; wbinvd; lgdt (%rax); swapgs; popcnt (%rax),%rcx; pop (%rax)
    """,
    STRING: "rep movsb; rep movsl; rep movsq; rep stosb; rep stosl; rep stosq",
    SWITCHES_SPACE: "mov %rax,%cr3; mov %r12,%cr3",
    CHANGES_MAPPING: "invlpg (%rax); invlpg 64(%r12); invpcid (%rax),%rcx; "
    "mov %rax,%cr0; mov %rax,%cr4",
}


def assemble(folder: Path, instructions: list[str]) -> list[bytes]:
    """Each instruction's bytes, padded with what follows to 16 bytes."""
    source, binary = folder / "insns.s", folder / "insns.bin"
    lines = "".join(f".balign {SLOT}\n{text}\n" for text in instructions)
    source.write_text(f".text\n{lines}.balign {SLOT}\n")
    subprocess.run(["as", "--64", "-o", folder / "insns.o", source], check=True)
    subprocess.run(
        ["objcopy", "-O", "binary", "-j", ".text", folder / "insns.o", binary], check=True
    )
    code = binary.read_bytes()
    return [code[at : at + SLOT] for at in range(0, SLOT * len(instructions), SLOT)]


@pytest.mark.parametrize("expected", list(INSTRUCTIONS))
def test_an_instruction_is_what_it_is(library: ctypes.CDLL, tmp_path: Path, expected: int) -> None:
    lines = INSTRUCTIONS[expected].replace("\n", ";").split(";")
    texts = [text.strip() for text in lines if text.strip()]
    found = {
        text: library.insn_classify(code, ctypes.c_size_t(SLOT))
        for text, code in zip(texts, assemble(tmp_path, texts), strict=True)
    }
    assert {text: kind for text, kind in found.items() if kind != expected} == {}


def test_a_cut_off_instruction_is_plain(library: ctypes.CDLL) -> None:
    for code in (b"", b"\x48", b"\x0f", b"\x48\x8b", b"\x48\x8b\x44", b"\xf0\x66\x2e"):
        assert library.insn_classify(code, ctypes.c_size_t(len(code))) == PLAIN
