"""Page maps of real processes: what is present, where, and what is refused."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.errors import KernelError, MissingError, ProcessGoneError, TiermemError
from tiermem.layer.pages import read_mappings, read_pagemap, read_process_pages
from tiermem.layer.pages.pagemap import PagemapFile

from tests.unit.layer.memory import PAGE, anonymous, child

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="page frame numbers are for root")


@needs_root
def test_touched_pages_are_present_and_have_frames_of_their_own() -> None:
    with anonymous(pages=16, touched=10) as address:
        found = read_pagemap(os.getpid(), address, 16)
    assert found.present.tolist() == [True] * 10 + [False] * 6
    assert len(set(found.pfns[:10].tolist())) == 10
    assert found.pfns[10:].tolist() == [0] * 6
    assert found.exclusive[:10].all()
    assert not found.file_or_shared.any()
    assert not found.swapped.any()
    assert found.addresses.tolist() == [address + i * PAGE for i in range(16)]


@needs_root
def test_a_files_page_is_told_from_anonymous_memory() -> None:
    mapping = next(m for m in read_mappings(os.getpid()) if m.path.endswith(".so.6"))
    found = read_pagemap(os.getpid(), mapping.start, mapping.bytes // PAGE)
    assert found.file_or_shared[found.present].any()


@needs_root
def test_a_whole_process_is_read_mapping_by_mapping() -> None:
    with child(pages=64) as (pid, address):
        pieces = list(read_process_pages(pid))
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    touched = np.arange(address, address + 64 * PAGE, PAGE, dtype=np.uint64)
    addresses = np.concatenate([piece.addresses[piece.present] for piece in pieces])
    assert np.isin(touched, addresses).all()
    # The kernel's own count is approximate; [vdso] and [vvar] are not in it.
    assert abs(len(addresses) - resident) <= 0.1 * resident + 64


def test_beyond_user_space_there_is_no_page() -> None:
    found = read_pagemap(os.getpid(), 1 << 60, 3)
    assert found.words.tolist() == [0, 0, 0]


def test_no_pages_asked_no_pages_answered() -> None:
    assert len(read_pagemap(os.getpid(), 0, 0).words) == 0


@pytest.mark.parametrize(("start", "pages"), [(1, 1), (-PAGE, 1), (PAGE, -1), (PAGE + 8, 2)])
def test_what_is_not_a_range_of_pages_is_refused(start: int, pages: int) -> None:
    with pytest.raises(TiermemError, match="is not a range of pages"):
        read_pagemap(os.getpid(), start, pages)


def test_a_process_that_ended_before() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(ProcessGoneError, match=f"process {ended.pid}: has ended"):
        read_pagemap(ended.pid, 0, 1)
    with pytest.raises(ProcessGoneError):
        list(read_process_pages(ended.pid))


@needs_root
@given(st.lists(st.integers(0, 1999), max_size=40))
def test_words_of_scattered_pages_are_those_of_the_whole(pages: list[int]) -> None:
    address, whole = scattered()
    asked = np.array([address + page * PAGE for page in pages], dtype=np.uint64)
    with PagemapFile(os.getpid()) as file:
        assert file.words_at(asked).tolist() == [int(whole[page]) for page in pages]


@functools.cache
def scattered() -> tuple[int, np.ndarray]:
    """Two thousand pages that stay mapped, every third touched, and their words."""
    area = mmap.mmap(-1, 2000 * PAGE)
    area.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(0, 2000, 3):
        area[page * PAGE] = 1
    kept.append(area)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    return address, read_pagemap(os.getpid(), address, 2000).words


kept: list[mmap.mmap] = []


@needs_root
def test_a_process_that_ends_while_it_is_read() -> None:
    with child(pages=4) as (pid, address):
        file = PagemapFile(pid)
        assert file.words_at(np.array([address + 5], dtype=np.uint64))[0] >> np.uint64(63) == 1
    with file, pytest.raises(ProcessGoneError, match=str(pid)):
        file.read(address, 4)


@needs_root
def test_hidden_frame_numbers_are_an_error_and_not_frame_zero() -> None:
    """Without CAP_SYS_ADMIN the kernel writes noughts for the PFNs of present pages."""
    script = (
        "import os; from tiermem.layer.pages import read_process_pages\n"
        "from tiermem.errors import MissingError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "import ctypes; ctypes.CDLL(None).prctl(4, 1)\n"  # PR_SET_DUMPABLE: may read its own files
        "try: list(read_process_pages(os.getpid()))\n"
        "except MissingError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "hides page frame numbers; run as root" in done.stdout, done.stderr


@needs_root
def test_a_process_of_another_user_needs_rights() -> None:
    script = (
        "import os, sys; from tiermem.layer.pages import read_pagemap\n"
        "from tiermem.errors import KernelError\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: read_pagemap(int(sys.argv[1]), 0, 1)\n"
        "except KernelError as error: print(error)\n"
    )
    pid = str(os.getpid())
    done = subprocess.run([sys.executable, "-c", script, pid], capture_output=True, text=True)
    assert f"process {pid}: open /proc/{pid}/pagemap: Permission denied" in done.stdout, done.stderr


def test_errors_carry_what_they_are() -> None:
    assert not issubclass(ProcessGoneError, KernelError)
    assert MissingError.exit_code == 3
