"""What a pool promises its clients, over a file, with openings of it that stand for hosts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import (
    DamagedError,
    LeaseLostError,
    MissingError,
    NameTakenError,
    NoSpaceError,
    TiermemError,
)
from tiermem.layer.pool import create_pool, open_pool
from tiermem.layer.pool.directory import State

from tests.unit.pool.conftest import MIB, SIZE, Opener


def test_what_one_host_publishes_another_reads_without_a_copy(opened: Opener) -> None:
    a, b = opened(0), opened(1)
    array = np.arange(100_000, dtype="f8")
    entry = a.publish("numbers", array, kind=42)
    assert (entry.bytes, entry.kind) == (array.nbytes, 42)
    with b.open("numbers") as extent:
        found = extent.numpy("f8")
        np.testing.assert_array_equal(found, array)
        assert found.__array_interface__["data"][0] == extent.address
        assert not found.flags.writeable
        assert bytes(extent.view()[:8]) == array[:1].tobytes()
        del found


def test_a_tensor_is_the_extents_own_memory(opened: Opener) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed here")
    pool = opened()
    pool.publish("numbers", np.arange(1000, dtype="f4"))
    with pool.open("numbers") as extent:
        tensor = extent.torch(torch.float32)
        assert tensor.data_ptr() == extent.address
        assert torch.equal(tensor, torch.arange(1000, dtype=torch.float32))
        assert (extent.torch().dtype, len(extent.torch())) == (torch.uint8, 4000)
        del tensor


def test_a_view_cannot_be_written_through(opened: Opener) -> None:
    pool = opened()
    pool.publish("x", b"abc")
    with pool.open("x") as extent, pytest.raises(TypeError):
        extent.view()[0] = 1


def test_a_draft_is_given_back_also_where_the_lease_was_lost_meanwhile(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else on this host would, as long as this process lives."""
    pool = opened()

    def is_lost() -> None:
        raise LeaseLostError("silent for too long")

    with pytest.raises(LeaseLostError), pool.reserve(10) as draft:
        draft.append(b"0123456789")
        monkeypatch.setattr(pool, "check_lease", is_lost)
        draft.publish("x")
    assert pool.entries(unfinished=True) == []


def test_a_draft_is_filled_by_appending_or_in_place(opened: Opener) -> None:
    pool = opened()
    with pool.reserve(10) as draft:
        for part in (b"abcd", b"", b"efghij"):
            draft.append(part)
        with pytest.raises(NoSpaceError, match="do not fit"):
            draft.append(b"k")
        draft.publish("appended")
    with pool.reserve(3 * MIB) as draft:
        assert draft.offset % (2 * MIB) == 0  # large ones can be mapped large
        draft.view()[: 3 * MIB] = b"z" * (3 * MIB)
        draft.publish("in place")
    for name, content in (("appended", b"abcdefghij"), ("in place", b"z" * (3 * MIB))):
        with pool.open(name) as extent:
            assert bytes(extent.view()) == content


def test_a_draft_that_is_left_gives_its_space_back(opened: Opener) -> None:
    pool = opened()
    with pool.reserve(4096):
        assert [one.state for one in pool.entries(unfinished=True)] == [State.RESERVED]
    assert pool.entries(unfinished=True) == []


def test_a_name_is_taken_once_whoever_has_it(opened: Opener) -> None:
    a, b = opened(0), opened(1)
    a.publish("x", b"1")
    for pool in (a, b):
        with pytest.raises(NameTakenError, match="'x'"):
            pool.publish("x", b"2")
    assert len(a.entries(unfinished=True)) == 1
    a.remove("x")
    assert b.publish("x", b"3").extent.host == 1


@pytest.mark.parametrize("remover", [0, 1], ids=["the owner", "another host"])
def test_space_comes_back_when_it_is_removed_and_not_held(opened: Opener, remover: int) -> None:
    hosts = opened(0), opened(1)
    hosts[0].publish("x", b"1" * 100)
    extent = hosts[1].open("x")
    hosts[remover].remove("x")
    assert hosts[0].collect() == 0
    assert bytes(extent.view()) == b"1" * 100
    extent.release()
    assert hosts[0].collect() == 1
    with pytest.raises(MissingError, match="'x'"):
        hosts[1].open("x")
    assert hosts[0].entries(unfinished=True) == []


def test_damage_is_named_and_never_served(opened: Opener, path: Path) -> None:
    pool = opened()
    entry = pool.publish("x", b"1" * 5000)
    pool.publish("y", b"2")
    _spoil(path, entry.offset + 4999)
    with pytest.raises(DamagedError, match=r"'x' is damaged.*5000 bytes"):
        pool.open("x")
    with pool.open("y") as extent:
        assert bytes(extent.view()) == b"2"
    pool.remove("x")
    assert pool.collect() == 1


def _spoil(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_damaged_entry_is_told_of_wherever_the_bit_flips(
    opened: Opener, path: Path, tmp_path: Path
) -> None:
    opened(0).publish("a name", b"1")
    place = path.read_bytes().index(b"a name") - 64
    looker = opened(None)
    for at in (*range(8, 24), *range(32, 64), 64, 69, 191):
        _spoil(path, place + at)
        assert [one.is_damaged for one in looker.entries()] == [True], at
        _spoil(path, place + at)
    assert [one.is_damaged for one in looker.entries()] == [False]


def test_a_damaged_superblock_is_refused(path: Path) -> None:
    _spoil(path, 20)
    with pytest.raises(DamagedError, match="superblock"):
        open_pool(path)
    with pytest.raises(TiermemError, match="holds a pool already"):
        create_pool(path)


def test_a_full_share_says_so_and_loses_nothing(opened: Opener) -> None:
    pool = opened()
    pool.publish("x", b"1")
    with pytest.raises(NoSpaceError, match="no room for"):
        pool.reserve(SIZE)
    drafts = [pool.reserve(1) for _ in range(7)]
    with pytest.raises(NoSpaceError, match=r"is full \(8 entries\)"):
        pool.reserve(1)
    for draft in drafts:
        draft.give_back()
    with pool.open("x") as extent:
        assert bytes(extent.view()) == b"1"


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 3 * MIB), st.booleans()), max_size=24))
def test_extents_never_overlap_and_space_is_used_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("space")
    create_pool(folder / "pool", hosts=1, entries=8, size=SIZE)
    with open_pool(folder / "pool", 0, run_dir=folder / "run") as pool:
        shape, drafts = pool.directory.shape, []
        for size, gives_back in steps:
            try:
                drafts.append(pool.reserve(size))
            except NoSpaceError:
                assert drafts
            if drafts and (gives_back or len(drafts) == 8):
                drafts.pop(len(drafts) // 2).give_back()
            spans = sorted((one.offset, one.offset + one.bytes) for one in drafts)
            for (_, end), (begin, _) in pairwise(spans):
                assert end <= begin
            assert all(begin % 4096 == 0 and begin >= shape.data_at for begin, _ in spans)
            assert all(end <= shape.data_at + shape.share_bytes for _, end in spans)
        for draft in drafts:
            draft.give_back()
        pool.reserve(shape.share_bytes).give_back()


@pytest.mark.parametrize("name", ["", "x" * 128, "é" * 64, "a\nb", "a\0b"])
def test_a_name_that_cannot_be_is_refused(opened: Opener, name: str) -> None:
    pool = opened()
    with pytest.raises(TiermemError, match="must be 1 to 127 bytes"):
        pool.publish(name, b"1")
    assert pool.entries(unfinished=True) == []


def test_who_only_looks_changes_nothing(opened: Opener) -> None:
    opened(0).publish("x", b"1")
    looker = opened(None)
    assert [one.name for one in looker.entries()] == ["x"]
    for act in (lambda: looker.publish("y", b"1"), lambda: looker.remove("x"), looker.collect):
        with pytest.raises(TiermemError, match="to look only"):
            act()


# --- processes that die ---
