"""Memory that really appears in a reservation, and vanishes: files, a pool, moved pages."""

from __future__ import annotations

import ctypes
import errno
import gc
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import ConfigError, KernelError, NoSpaceError, TiermemError
from tiermem.layer.arena import create_arena
from tiermem.layer.placement import Policy, current_policy
from tiermem.layer.pool import create_pool, open_pool
from tiermem.serving.vattention import init, pieces
from tiermem.serving.vattention.layer_backend import LayerBackend
from tiermem.serving.vattention.layout import KvLayout, Run
from tiermem.serving.vattention.pieces import Piece
from tiermem.serving.vattention.sources import (
    ArenaPages,
    FileRange,
    MemoryFile,
    PrivateMemory,
    Source,
)

GROUP = 64 << 10
LAYOUT = KvLayout(1, 1, 64, 4, context_tokens=2048, batch=2, group_bytes=GROUP)
ROW = LAYOUT.row_bytes


@dataclass(frozen=True)
class OwnPages:
    """Pages as an arena's buffer has them."""

    address: int
    bytes: int
    memory: mmap.mmap

    def view(self) -> memoryview:
        """All of it."""
        return memoryview(self.memory)


@contextmanager
def own_pages(groups: int) -> Iterator[OwnPages]:
    """So many page groups, with something in every page."""
    memory = mmap.mmap(-1, groups * GROUP, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    np.frombuffer(memory, np.uint8)[:] = 0xEE
    yield OwnPages(pieces.address_of(memory), groups * GROUP, memory)
    memory.close()


@contextmanager
def a_source(kind: str, folder: Path, groups: int) -> Iterator[Source]:
    """Each kind of memory."""
    if kind == "private memory":
        yield PrivateMemory(groups * GROUP)
    elif kind == "memory file":
        yield MemoryFile(groups * GROUP)
    elif kind == "kept memory file":
        yield MemoryFile(groups * GROUP, keeps=True)
    elif kind == "file":
        (folder / "memory").write_bytes(b"\xee" * (groups + 1) * GROUP)
        yield FileRange(folder / "memory", GROUP, groups * GROUP)
    elif kind == "pool":
        create_pool(folder / "pool", hosts=1, size=64 << 20)
        with open_pool(folder / "pool", host=0) as pool:
            area = pool.create_area("kv", groups * GROUP)
            yield FileRange(folder / "pool", area.entry.offset, area.bytes)
            area.close()
    else:
        with own_pages(groups) as pages:
            yield ArenaPages(pages)


KINDS = ("private memory", "memory file", "kept memory file", "file", "pool", "pages")


def array(backend: LayerBackend) -> np.ndarray:
    """All of a reservation as bytes."""
    return np.frombuffer(backend.buffer(), np.uint8)


def can_read(address: int) -> bool:
    """Whether the kernel can, on this process' behalf."""
    return _reaches(lambda handle, byte: os.pwrite(handle, byte, 0), address)


def can_write(address: int) -> bool:
    """The same; a zero is written."""
    return _reaches(lambda handle, byte: os.preadv(handle, [byte], 0), address)


def _reaches(action: Callable[[int, memoryview], int], address: int) -> bool:
    handle = os.memfd_create("one byte")
    try:
        os.ftruncate(handle, 1)
        return action(handle, memoryview((ctypes.c_uint8 * 1).from_address(address)).cast("B")) == 1
    except OSError as error:
        assert error.errno == errno.EFAULT
        return False
    finally:
        os.close(handle)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_appears_as_zeros_is_kept_and_goes_round(kind: str, tmp_path: Path) -> None:
    with a_source(kind, tmp_path, groups=6) as source:
        backend = LayerBackend(LAYOUT, source)
        assert backend.memory_bytes == 6 * GROUP
        backend.map([Run(0, GROUP), Run(ROW, 2 * GROUP)])
        seen = array(backend)
        assert not seen[:GROUP].any()
        assert not seen[ROW : ROW + 2 * GROUP].any()
        seen[:GROUP] = 1
        seen[ROW : ROW + 2 * GROUP] = np.arange(2 * GROUP) % 251
        backend.map([Run(GROUP, 3 * GROUP)])
        seen[GROUP : 4 * GROUP] = 2
        backend.unmap([Run(0, 2 * GROUP)])
        backend.map([Run(ROW + 2 * GROUP, 2 * GROUP)])
        assert (seen[ROW : ROW + 2 * GROUP] == np.arange(2 * GROUP) % 251).all()
        assert (seen[2 * GROUP : 4 * GROUP] == 2).all()
        assert set(np.unique(seen[ROW + 2 * GROUP : ROW + 4 * GROUP])) <= {0, 1, 2}
        del seen
        backend.close()


@pytest.mark.parametrize("kind", KINDS)
def test_too_much_is_refused_and_leaves_all_as_it_was(kind: str, tmp_path: Path) -> None:
    with a_source(kind, tmp_path, groups=2) as source:
        backend = LayerBackend(LAYOUT, source)
        backend.map([Run(0, GROUP)])
        with pytest.raises(NoSpaceError, match="2 page groups are wanted, 1 of 2 are free"):
            backend.map([Run(GROUP, 2 * GROUP)])
        backend.map([Run(GROUP, GROUP)])
        backend.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_mapped_cannot_be_touched_and_once_covered_be_read(
    kind: str, tmp_path: Path
) -> None:
    with a_source(kind, tmp_path, groups=3) as source:
        backend = LayerBackend(LAYOUT, source)
        backend.map([Run(0, 2 * GROUP)])
        backend.unmap([Run(GROUP, GROUP)])
        beyond = backend.address + GROUP
        assert can_read(beyond - 1)
        assert can_write(beyond - 1)
        assert not can_read(beyond)
        backend.cover([Run(GROUP, 2 * GROUP)])
        assert not array(backend)[GROUP : 3 * GROUP].any()
        assert not can_write(beyond)
        backend.map([Run(GROUP, GROUP)])
        assert can_write(beyond)
        backend.close()


@pytest.mark.parametrize("kind", ["file", "pages"])
def test_who_reads_meanwhile_sees_zeros_and_never_what_others_left(
    kind: str, tmp_path: Path
) -> None:
    """As attention reads a covered row, masked, while the thread maps ahead in it."""
    row = Run(0, 8 * GROUP)
    seen = list[bool]()
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        with a_source(kind, folder, groups=8) as source:
            backend = LayerBackend(LAYOUT, source)
            backend.cover([row])
            is_over = threading.Event()
            reader = threading.Thread(target=_read, args=(backend, is_over, seen))
            reader.start()
            backend.map([row])
            is_over.set()
            reader.join()
            backend.close()
    assert len(seen) >= 40
    assert not any(seen)


def _read(backend: LayerBackend, is_over: threading.Event, seen: list[bool]) -> None:
    row = array(backend)[: 8 * GROUP]
    while True:
        was_over = is_over.is_set()
        seen.append(bool(row.any()))
        if was_over:
            return


def test_a_mapping_that_fails_leaves_covered_rows_readable(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"\xee" * GROUP)
    backend = LayerBackend(LAYOUT, FileRange(short, 0, 3 * GROUP))
    backend.cover([Run(0, 3 * GROUP)])
    with pytest.raises(KernelError, match="EFAULT"):
        backend.map([Run(0, 3 * GROUP)])
    assert not array(backend)[: 3 * GROUP].any()
    backend.close()


def test_a_memory_file_keeps_nothing_of_a_mapping_that_fails() -> None:
    source = MemoryFile(2 * GROUP)
    address = pieces.reserve(2 * GROUP, GROUP)
    beyond_its_end = Piece(address + GROUP, 2 * GROUP, GROUP)
    with pytest.raises(KernelError, match="EFAULT"):
        source.commit([Piece(address, 0, GROUP), beyond_its_end])
    assert source.resident_bytes() == 0
    assert not can_read(address)
    pieces.free(address, 2 * GROUP)
    source.close()


def test_a_memory_file_takes_memory_while_it_is_mapped() -> None:
    source = MemoryFile(8 * GROUP)
    backend = LayerBackend(LAYOUT, source)
    assert source.resident_bytes() == 0
    backend.map([Run(0, 3 * GROUP)])
    assert source.resident_bytes() == 3 * GROUP
    backend.unmap([Run(GROUP, 2 * GROUP)])
    assert source.resident_bytes() == GROUP
    backend.close()


def test_private_memory_is_taken_while_it_is_mapped_in_huge_pages_where_they_fit() -> None:
    size = 8 << 20
    huge = KvLayout(1, 1, 64, 4, context_tokens=1 << 16, batch=1, group_bytes=2 << 20)
    backend = LayerBackend(huge, PrivateMemory(size))
    before = resident_kib()
    backend.map([Run(0, size)])
    assert abs(resident_kib() - before - (size >> 10)) < SLACK_KIB
    taken = huge_kib(backend.address)
    with mmap.mmap(-1, 2 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as plain:
        plain.madvise(mmap.MADV_HUGEPAGE)
        plain.write(bytes(2 * size))
        # As many as the kernel gives now to whoever asks.
        if huge_kib(pieces.address_of(plain)) >= size >> 10:
            assert taken == size >> 10
    before = resident_kib()
    backend.unmap([Run(0, size)])
    assert abs(before - resident_kib() - (size >> 10)) < SLACK_KIB
    backend.close()


SLACK_KIB = 1024


def resident_kib() -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


def huge_kib(address: int) -> int:
    """Of the mapping at an address, in huge pages."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("AnonHugePages:"):
            return int(line.split()[1])
    return 0


def test_a_memory_file_that_keeps_takes_no_more_than_was_mapped_at_once() -> None:
    source = MemoryFile(8 * GROUP, keeps=True)
    backend = LayerBackend(LAYOUT, source)
    for offset in range(0, 8 * GROUP, 2 * GROUP):
        backend.map([Run(offset, 2 * GROUP)])
        backend.unmap([Run(offset, 2 * GROUP)])
    assert source.resident_bytes() == 2 * GROUP
    backend.close()


def test_a_memory_file_is_bound_to_its_nodes_wherever_it_is_mapped() -> None:
    backend = LayerBackend(LAYOUT, MemoryFile(2 * GROUP, nodes=[0]))
    backend.map([Run(ROW, GROUP)])
    assert current_policy(backend.address + ROW) == (Policy.BIND, (0,))
    backend.close()


def test_pages_go_back_to_where_they_are_from() -> None:
    with own_pages(2) as pages:
        backend = LayerBackend(LAYOUT, ArenaPages(pages))
        backend.map([Run(0, GROUP), Run(ROW, GROUP)])
        array(backend)[ROW] = 7
        backend.close()
        theirs = (ctypes.c_uint8 * pages.bytes).from_address(pages.address)
        assert sorted((theirs[0], theirs[GROUP])) == [0, 7]


def test_it_stays_open_while_somebody_has_a_view() -> None:
    backend = LayerBackend(LAYOUT, MemoryFile(2 * GROUP))
    backend.map([Run(0, GROUP)])
    view = array(backend)
    with pytest.raises(TiermemError, match="tensors of it are in use"):
        backend.close()
    view[0] = 1
    del view
    backend.close()
    with pytest.raises(TiermemError, match="was closed"):
        backend.buffer()


def test_an_arenas_pages_go_back_before_anybody_else_has_their_place(tmp_path: Path) -> None:
    """Also where an error ends the arena's block while a tensor is in use yet."""
    kept: list[np.ndarray] = []

    def fail() -> None:
        with (
            create_arena("pages", 8 * GROUP, run_dir=tmp_path) as arena,
            arena.allocate(8 * GROUP) as buffer,
            init(LAYOUT, source=ArenaPages(buffer)) as kv,
        ):
            kv.step({kv.alloc_reqid(1): 1})
            kept.append(np.frombuffer(kv.backend.buffer(), np.uint8))  # type: ignore[attr-defined]
            raise KeyError(arena.address)

    with pytest.raises(KeyError) as failed:
        fail()
    (address,) = failed.value.args
    del failed
    gc.collect()
    assert can_read(address), "the arena's memory is there as long as the tensor"
    kept[0][0] = 1
    kept.clear()
    gc.collect()
    assert not can_read(address)


def test_wrong_runs_are_named() -> None:
    backend = LayerBackend(LAYOUT, MemoryFile(4 * GROUP))
    backend.map([Run(0, GROUP)])
    with pytest.raises(TiermemError, match="page group 0: is mapped already"):
        backend.map([Run(0, 2 * GROUP)])
    with pytest.raises(TiermemError, match="page group 1: is not mapped"):
        backend.unmap([Run(0, 2 * GROUP)])
    with pytest.raises(TiermemError, match="page group 0: is mapped already"):
        backend.cover([Run(0, GROUP)])
    with pytest.raises(TiermemError, match="is not of whole page groups of 65536"):
        backend.map([Run(4096, GROUP)])
    with pytest.raises(TiermemError, match="is outside the"):
        backend.map([Run(LAYOUT.reserved_bytes, GROUP)])
    backend.close()


def test_more_memory_than_there_is_is_refused_at_once() -> None:
    with pytest.raises(NoSpaceError, match="this machine has"):
        MemoryFile(1 << 50)
    with pytest.raises(NoSpaceError, match="this machine has"):
        PrivateMemory(1 << 50)


def test_more_mappings_than_the_kernel_allows_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "max_map_count"
    limit.write_text("5000\n")
    monkeypatch.setattr(pieces, "MAPS_MAX_FILE", limit)
    LayerBackend(LAYOUT, source := MemoryFile(512 * GROUP)).close()
    source = MemoryFile(1024 * GROUP)
    with pytest.raises(ConfigError, match="take larger page groups, or raise sysctl"):
        LayerBackend(LAYOUT, source)
    source.close()


def test_the_kernels_errors_have_their_meaning(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match=r"open .*nowhere: No such file .*\(ENOENT\)"):
        FileRange(tmp_path / "nowhere", 0, GROUP)
    with pytest.raises(TiermemError, match="offset 5 is not of a whole page"):
        FileRange(tmp_path / "nowhere", 5, GROUP)
    short = tmp_path / "short"
    short.write_bytes(b"\0" * GROUP)
    backend = LayerBackend(LAYOUT, FileRange(short, 0, 3 * GROUP))
    with pytest.raises(KernelError, match=r"map 196608 bytes of .*short: Bad address \(EFAULT\)"):
        backend.map([Run(0, 3 * GROUP)])
    backend.map([Run(0, GROUP)])
    backend.close()
