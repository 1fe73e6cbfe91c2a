"""Arenas in a pool: one process hands buffers out, others of any host have them too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from tiermem.errors import MissingError, NameTakenError, NoSpaceError, TiermemError
from tiermem.layer.arena import (
    Emulation,
    create_shared_arena,
    list_arenas,
    open_shared_arena,
)
from tiermem.layer.pool import Pool, create_pool, open_pool

from tests.unit.layer.arena.conftest import MIB


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Pool, Pool]]:
    """Two hosts of a pool over a file."""
    path = tmp_path / "pool"
    create_pool(path, hosts=2, entries=8, size=16 * MIB)
    with ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(open_pool(path, host, run_dir=tmp_path / f"run{host}"))
            for host in range(2)
        )


def test_what_one_host_puts_in_another_takes_out(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    a, b = hosts
    data = np.arange(5000, dtype=np.uint16)
    with (
        create_shared_arena(a, "kv", MIB, run_dir=run_dir) as ours,
        open_shared_arena(b, "kv", run_dir=run_dir) as theirs,
    ):
        ours.allocate(100).close()
        with ours.allocate(data.nbytes) as put:
            put.copy_in(data)
            with theirs.at(put.offset, put.bytes) as taken:
                out = np.empty_like(data)
                taken.copy_out(out)
                assert (out == data).all()
                taken.numpy("u2")[7] = 99
                taken.write_back()
            put.invalidate()
            assert put.numpy("u2")[7] == 99
            assert (theirs.usage.buffers, ours.usage.buffers) == (0, 1)


def test_no_two_buffers_share_a_cache_line(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    with create_shared_arena(hosts[0], "kv", MIB, run_dir=run_dir) as arena:
        assert not arena.is_coherent
        offsets = [arena.allocate(size, align_bytes=1).address for size in (1, 65, 64, 3)]
        assert all(offset % 64 == 0 for offset in offsets)
        assert bytes(arena.allocate(4096).view()) == bytes(4096)


def test_only_its_maker_hands_out(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    a, b = hosts
    with (
        create_shared_arena(a, "kv", MIB, run_dir=run_dir) as ours,
        open_shared_arena(b, "kv", run_dir=run_dir) as theirs,
    ):
        with pytest.raises(TiermemError, match="are handed out where it was made"):
            theirs.allocate(1)
        with pytest.raises(TiermemError, match=r"hands out its buffers itself: allocate\(\) them"):
            ours.at(0, 1)
        for offset, size in ((-1, 1), (0, 0), (MIB, 1), (0, MIB + 1)):
            with pytest.raises(TiermemError, match=f"has no {size} bytes at {offset}"):
                theirs.at(offset, size)
        with pytest.raises(NoSpaceError, match="are wanted"):
            ours.allocate(MIB + 1)


def test_the_pools_own_errors_come_through(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    a, b = hosts
    with pytest.raises(MissingError, match="'kv'"):
        open_shared_arena(b, "kv", run_dir=run_dir)
    with create_shared_arena(a, "kv", MIB, run_dir=run_dir):
        with pytest.raises(NameTakenError):
            create_shared_arena(b, "kv", MIB, run_dir=run_dir)
        with pytest.raises(NoSpaceError):
            create_shared_arena(b, "large", 1 << 40, run_dir=run_dir)
    assert list_arenas(run_dir) == []


def test_it_stays_in_the_pool_until_it_is_removed(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    a, b = hosts
    with create_shared_arena(a, "kv", MIB, run_dir=run_dir) as arena, arena.allocate(5) as buffer:
        buffer.copy_in(b"hello")
        place = buffer.offset, buffer.bytes
    with open_shared_arena(b, "kv", run_dir=run_dir) as arena, arena.at(*place) as buffer:
        assert bytes(buffer.view()) == b"hello"
    a.remove("kv")
    assert a.collect() == 1


def test_lists_and_reprs_say_whose_pool_it_is(hosts: tuple[Pool, Pool], run_dir: Path) -> None:
    emulated = Emulation(2_000_000_000, 400)
    with create_shared_arena(hosts[0], "kv", MIB, emulation=emulated, run_dir=run_dir) as arena:
        where = f"emulated 2 GB/s 400 ns on pool {hosts[0].path} as host 0"
        assert where in repr(arena)
        (listed,) = list_arenas(run_dir)
        assert listed.description.where == where
        assert arena.nodes == ()
        assert arena.huge_bytes() is None
