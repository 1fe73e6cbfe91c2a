"""Memory is what it was, also what is moved or given back before it is touched."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import ClassVar

import pytest
from tiermem.cxlfork.policies import Policy
from tiermem.cxlfork.restore import Note

from tests.unit.cxlfork.conftest import Starter
from tests.unit.cxlfork.restoring.conftest import GO_ON, Cloner

PAGE = 4096


def mappings(pid: int) -> list[str]:
    """What /proc/PID/smaps says of each, but for what is in memory at the moment; those of
    a deleted file are restored without it."""
    kept: list[str] = []
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name = line.split()[0]
        if name == "VmFlags:":
            # Registered with userfaultfd; written to since that was last asked; writable once;
            # droppable, which is kept as memory that is wiped on fork.
            kept.append(" ".join(f for f in line.split() if f not in ("um", "sd", "ac", "dp")))
        elif "-" in name:
            is_gone = line.endswith("(deleted)")
            kept.append(f"{' '.join(line.split()[:2])} 00000000 00:00 0 " if is_gone else line)
    return kept


class _Part(ctypes.Structure):
    """struct iovec."""

    _fields_: ClassVar = [("at", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


def read(pid: int, address: int, pages: int) -> bytes:
    """Memory of a process. Not by /proc/PID/mem, which does not wait for lazy pages."""
    into = ctypes.create_string_buffer(pages * PAGE)
    here = _Part(ctypes.addressof(into), len(into))
    there = _Part(address, len(into))
    call = ctypes.CDLL(None, use_errno=True).process_vm_readv
    got = call(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    assert got == len(into), os.strerror(ctypes.get_errno())
    return into.raw


@pytest.mark.parametrize("policy", Policy)
def test_every_kind_of_mapping(
    policy: Policy, start: Starter, cloner: Cloner, tmp_path: Path
) -> None:
    target = start("memory", tmp_path / "file")
    addresses = [int(word, 16) for word in target.line().split()]
    source = cloner.take(target)
    clone = cloner.restore(source, policy)
    # Through the image module they have that for a name.
    if clone.process.notes & Note.LAZY_PAGES:
        assert mappings(clone.process.pid) == mappings(target.pid)
    anonymous, _none, shared, file, large, zero, hidden, gone, *_droppable = addresses
    for address, pages in ((anonymous, 16), (shared, 16), (file, 16), (large, 2048)):
        assert read(clone.process.pid, address, pages) == read(target.pid, address, pages)
    for address in (zero, hidden, gone):
        assert read(clone.process.pid, address, 1) == read(target.pid, address, 1)


@pytest.mark.parametrize("what", ["all", "part"])
def test_what_is_moved_before_it_is_touched(
    what: str, start: Starter, cloner: Cloner, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    target = start("moving", go, *(["part"] if what == "part" else []))
    assert target.line() == "ready"
    source = cloner.take(target)
    clones = [cloner.restore(source) for _ in range(3)]
    go.touch()
    for process in (target, *clones):
        assert process.line() == "all is right"
    for clone in clones:
        assert clone.process.wait(20) == 0


def test_a_page_is_brought_when_it_is_touched(
    start: Starter, cloner: Cloner, tmp_path: Path
) -> None:
    target = start("moving", tmp_path / "go")
    assert target.line() == "ready"
    source = cloner.take(target)
    clone = cloner.restore(source)
    assert _resident_pages(clone.process.pid) < source.image.stored_pages / 2


def test_children_that_have_ended_are_not_served(
    start: Starter, cloner: Cloner, tmp_path: Path
) -> None:
    text = (
        f"{GO_ON}print('ready', flush=True)\nwait_for(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    pid = os.fork() or os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "print('done', flush=True)\n"
        "time.sleep(1000)\n"
    )
    target = start(text, tmp_path / "go", python=True)
    assert target.line() == "ready"
    clone = cloner.restore(cloner.take(target))
    before = _open_files(clone.process.init_pid)
    (tmp_path / "go").touch()
    assert clone.line() == "done"
    assert _open_files(clone.process.init_pid) <= before + 2


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
