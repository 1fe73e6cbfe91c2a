"""Areas of a pool: memory that hosts go on writing to, over a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiermem.errors import DamagedError, MissingError, NameTakenError, NoSpaceError, TiermemError
from tiermem.layer.pool.directory import AREA_KIND

from tests.unit.pool.conftest import MIB, SIZE, Opener
from tests.unit.pool.test_processes import child, kill


def test_what_one_host_writes_another_reads_and_the_other_way_round(opened: Opener) -> None:
    a, b = opened(0), opened(1)
    with a.create_area("talk", 8192) as ours, b.open_area("talk") as theirs:
        assert (ours.bytes, theirs.bytes) == (8192, 8192)
        assert ours.generation == theirs.generation
        ours.view[:5] = b"hello"
        theirs.view[4096:4098] = b"ok"
        assert bytes(theirs.view[:5]) == b"hello"
        assert bytes(ours.view[4096:4098]) == b"ok"
        assert ours.address % 4096 == 0


@pytest.mark.parametrize("size", [1, 63, 5000, 3 * MIB])
def test_it_begins_as_zeros_whatever_was_there(opened: Opener, size: int) -> None:
    pool = opened()
    offset = pool.publish("before", b"\xff" * size).offset
    pool.remove("before")
    assert pool.collect() == 1
    with pool.create_area("after", size) as area:
        assert area.entry.offset == offset
        assert bytes(area.view) == bytes(size)


def test_its_generation_is_another_each_time_and_everywhere(opened: Opener) -> None:
    pools = opened(0), opened(1)
    seen = []
    for _ in range(3):
        for pool in pools:
            with pool.create_area("x", 64) as first, pool.create_area("y", 64) as second:
                seen += [first.generation, second.generation]
            pool.remove("x")
            pool.remove("y")
            assert pool.collect() == 2
    assert len(set(seen)) == len(seen) == 12
    assert max(seen) < 1 << 64


def test_it_outlives_its_maker_until_it_is_removed(opened: Opener) -> None:
    a, b = opened(0), opened(1)
    with a.create_area("x", 64) as area:
        area.view[:1] = b"!"
    with b.open_area("x") as area:
        a.remove("x")
        assert a.collect() == 0
        assert bytes(area.view[:1]) == b"!"
        with pytest.raises(MissingError, match="'x'"):
            a.open_area("x")
    assert a.collect() == 1


def test_what_a_killed_process_held_comes_back(opened: Opener, path: Path, tmp_path: Path) -> None:
    owner = opened(0)
    owner.create_area("x", 64).close()
    kill(child(path, 1, tmp_path / "run1", "area = pool.open_area('x'); area.view[:1] = b'!'"))
    owner.remove("x")
    assert owner.collect() == 0
    opened(1)
    assert owner.collect() == 1


def test_areas_and_extents_are_not_taken_for_each_other(opened: Opener) -> None:
    pool = opened()
    pool.create_area("area", 64).close()
    pool.publish("extent", b"1")
    with pytest.raises(TiermemError, match=r"'area' is an area: open_area\(\) opens it"):
        pool.open("area")
    with pytest.raises(TiermemError, match=r"'extent' is an extent .* open\(\) opens it"):
        pool.open_area("extent")
    with pytest.raises(TiermemError, match="is that of areas"):
        pool.publish("pretender", b"1", kind=AREA_KIND)
    assert len(pool.entries(unfinished=True)) == 2


def test_one_that_cannot_be_made_leaves_nothing(opened: Opener) -> None:
    pool = opened()
    pool.publish("x", b"1")
    with pytest.raises(NameTakenError, match="'x'"):
        pool.create_area("x", 64)
    with pytest.raises(NoSpaceError):
        pool.create_area("y", SIZE)
    with pytest.raises(TiermemError, match="at least 1"):
        pool.create_area("y", 0)
    assert [one.name for one in pool.entries(unfinished=True)] == ["x"]


def test_its_entry_is_checked_though_its_bytes_are_not(opened: Opener, path: Path) -> None:
    pool = opened()
    with pool.create_area("a name", 64) as area:
        area.view[:] = b"x" * 64
    pool.open_area("a name").close()
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(content.index(b"a name") - 64 + 16)
        file.write(b"\x41")
    with pytest.raises(DamagedError, match="'a name'"):
        pool.open_area("a name")


def test_a_pool_is_not_closed_under_a_view(opened: Opener) -> None:
    pool = opened()
    with pool.create_area("x", 64) as area:
        view = area.view
        with pytest.raises(TiermemError, match="still in use"):
            pool.close()
        view.release()
