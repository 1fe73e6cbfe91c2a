"""/proc/PID/maps of this process and of a recorded one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tiermem.errors import ProcessGoneError
from tiermem.layer.pages import read_mappings

from tests.unit.layer.memory import PAGE, anonymous

RECORDED = """\
55d0a0000000-55d0a0001000 r--p 00002000 fe:00 1234                       /usr/bin/my program
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_recorded_maps(tmp_path: Path) -> None:
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "maps").write_text(RECORDED)
    program, heap = read_mappings(42, tmp_path)
    assert (program.path, program.inode, program.offset) == ("/usr/bin/my program", 1234, 0x2000)
    assert not program.is_anonymous
    assert (heap.start, heap.bytes, heap.permissions) == (0x7F0000000000, 2 << 20, "rw-p")
    assert heap.is_anonymous


def test_our_own_memory_is_in_a_mapping_of_ours() -> None:
    with anonymous(pages=9) as address:
        mappings = read_mappings(os.getpid())
        assert any(m.start <= address and address + 9 * PAGE <= m.end for m in mappings)


def test_a_kernel_thread_has_none_and_a_missing_process_is_gone() -> None:
    kthreadd = 2
    if Path(f"/proc/{kthreadd}/comm").exists():
        assert read_mappings(kthreadd) == ()
    with pytest.raises(ProcessGoneError):
        read_mappings(2**22 + 1)
