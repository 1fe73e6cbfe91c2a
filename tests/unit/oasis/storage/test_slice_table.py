"""An SSD's table of slices: whatever its host dies in, nobody loses data or sees another's."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiermem.errors import DamagedError, KernelError, MissingError, NameTakenError, NoSpaceError
from tiermem.oasis.storage.device import open_device
from tiermem.oasis.storage.disk import OpenDisk
from tiermem.oasis.storage.slice_table import (
    ALIGN,
    COPY_BYTES,
    DATA_AT,
    Owner,
    SliceTable,
    State,
    format_table,
    is_blank,
)

MIB = 1 << 20
BLOCK = 512
ROOM = 6


class Died(BaseException):
    """The host's power is gone."""


class ModelDisk:
    """A disk of which a mark a MiB is kept beside the tables, and that loses power on demand.

    What was not written to its end has been, block by block, or has not, by chance.
    """

    def __init__(self, mib: int) -> None:
        self.size_bytes = DATA_AT + mib * MIB
        self.tables = bytearray(DATA_AT)
        self.marks = ["the last owner's"] * mib
        self.steps_left: int | None = None
        self.chance: list[bool] = [True]

    def read(self, at: int, size: int) -> bytes:
        return bytes(self.tables[at : at + size])

    def write(self, at: int, data: bytes) -> None:
        for number, begin in enumerate(range(0, len(data), BLOCK)):
            if self._lasts() or self.chance[number % len(self.chance)]:
                some = data[begin : begin + BLOCK]
                self.tables[at + begin : at + begin + len(some)] = some
        self._end_step()

    def zero(self, at: int, size: int) -> None:
        first = (at - DATA_AT) // MIB
        for mib in range(first, first + size // MIB):
            if self._lasts() or self.chance[mib % len(self.chance)]:
                self.marks[mib] = ""
        self._end_step()

    def _lasts(self) -> bool:
        return self.steps_left is None or self.steps_left > 0

    def _end_step(self) -> None:
        if self.steps_left is not None:
            if self.steps_left == 0:
                raise Died
            self.steps_left -= 1


class World:
    """An SSD and what its owners have been promised and have written."""

    def __init__(self) -> None:
        self.disk = ModelDisk(ROOM)
        format_table(self.disk)
        self.table = SliceTable.open(self.disk)
        self.held: dict[Owner, tuple[int, int]] = {}
        self.maybe_held: set[Owner] = set()
        self.given_up: set[Owner] = set()
        self._ids = iter(range(1, 1000))

    def make(self, mib: int) -> None:
        owner = Owner(1, mib, next(self._ids))
        self.maybe_held.add(owner)
        with contextlib.suppress(NoSpaceError):
            self.table.begin(owner, mib * MIB)
            while self.table.work():
                pass
            self.take(owner)

    def take(self, owner: Owner) -> None:
        """The owner is told that it is its own: it reads zeros, and writes."""
        found = self.table.find(owner)
        assert found is not None
        assert found.state is State.HELD
        first, end = (found.offset_bytes - DATA_AT) // MIB, (found.end - DATA_AT) // MIB
        assert self.disk.marks[first:end] == [""] * (end - first)
        self.disk.marks[first:end] = [str(owner)] * (end - first)
        self.held[owner] = first, end
        self.maybe_held.discard(owner)

    def give_up(self) -> None:
        if self.held:
            owner = next(iter(self.held))
            self.held.pop(owner)
            self.given_up.add(owner)
            self.table.free(owner)

    def check(self) -> None:
        """What is promised, by a table that was just opened."""
        for owner, (first, end) in self.held.items():
            found = self.table.find(owner)
            assert found is not None
            assert (found.offset_bytes, found.end) == (DATA_AT + first * MIB, DATA_AT + end * MIB)
            assert self.disk.marks[first:end] == [str(owner)] * (end - first)
        for owner in list(self.maybe_held):
            found = self.table.find(owner)
            # It was zeroed and not told of: told of now, it is as new.
            if found is not None and found.state is State.HELD:
                self.take(owner)
        self.maybe_held.clear()
        # Nobody was told that it is gone: its host asks once more.
        for owner in self.given_up:
            if self.table.find(owner) is not None:
                self.table.free(owner)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.none() | st.integers(0, 4),
            st.lists(st.booleans(), min_size=1, max_size=5),
        ),
        max_size=12,
    )
)
def test_whatever_the_host_dies_in_data_stays_and_what_is_given_away_is_zeros(
    story: list[tuple[int, int | None, list[bool]]],
) -> None:
    """0: give up a slice; 1 to 3: have one of so many MiB. The host dies in the middle of the
    n-th thing that it writes, with which blocks on the disk chance has it."""
    world = World()
    for what, dies_after, chance in story:
        world.disk.steps_left, world.disk.chance = dies_after, chance
        with contextlib.suppress(Died):
            world.make(what) if what else world.give_up()
        world.disk.steps_left = None
        world.table = SliceTable.open(world.disk)
        world.check()
    while world.table.work():
        pass
    taken = sum(end - first for first, end in world.held.values())
    assert sum(one.bytes for one in world.table.slices) == taken * MIB


def test_the_smallest_gap_that_fits_is_taken() -> None:
    world = World()
    for mib in (2, 1, 1):
        world.make(mib)
    first, _, third = list(world.held)
    for owner in (first, third):
        world.table.free(owner)
    while world.table.work():
        pass
    # Two gaps: of 2 MiB, and of 3 at the end.
    assert world.table.room_bytes == 3 * MIB
    made = world.table.begin(Owner(2, 0, 99), 2 * MIB - 1)
    assert (made.offset_bytes, made.bytes, made.state) == (DATA_AT, 2 * MIB, State.HELD)
    with pytest.raises(NoSpaceError, match="room for 3145728"):
        world.table.begin(Owner(2, 0, 100), 4 * MIB)


def test_a_number_that_there_was_is_not_given_again_before_its_slice_is_gone() -> None:
    world = World()
    world.make(1)
    (owner,) = world.held
    with pytest.raises(NameTakenError):
        world.table.begin(owner, MIB)
    world.table.free(owner)
    assert world.table.find(owner) is None
    with pytest.raises(NameTakenError):
        world.table.begin(owner, MIB)
    with pytest.raises(MissingError):
        world.table.free(owner)


def test_one_damaged_copy_does_no_harm_and_two_are_told_of() -> None:
    world = World()
    world.make(1)
    newest = world.table._kept.sequence % 2 * COPY_BYTES
    world.disk.tables[newest + 50] ^= 1
    opened = SliceTable.open(world.disk)
    assert opened.damaged == 1
    world.disk.tables[COPY_BYTES - newest + 50] ^= 1
    with pytest.raises(DamagedError, match="neither copy is whole"):
        SliceTable.open(world.disk)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300), st.integers(0, 100))
def test_random_bytes_are_no_table(junk: bytes, at: int) -> None:
    disk = ModelDisk(1)
    disk.tables[at : at + len(junk)] = junk
    with pytest.raises(MissingError, match="no table"):
        SliceTable.open(disk)


def test_a_config_that_gives_less_of_the_ssd_leaves_what_there_is() -> None:
    world = World()
    world.make(3)
    smaller = SliceTable.open(world.disk, size=DATA_AT + 2 * MIB)
    assert len(smaller.slices) == 1
    assert (smaller.bytes, smaller.room_bytes) == (2 * MIB, 0)


@pytest.mark.parametrize("is_direct", [True, False])
def test_a_file_is_such_a_disk(tmp_path: Path, is_direct: bool) -> None:
    path = tmp_path / "ssd"
    path.write_bytes(b"x" * (DATA_AT + 3 * ALIGN))
    device = open_device(path, is_direct=is_direct, lock_timeout_s=0)
    try:
        disk = OpenDisk(device)
        assert not is_blank(disk)
        format_table(disk)
        table = SliceTable.open(disk)
        table.begin(Owner(0, 0, 1), 2 * ALIGN)
        while table.work():
            pass
        assert SliceTable.open(disk).slices == table.slices
    finally:
        device.close()
    data = path.read_bytes()[DATA_AT:]
    assert data == bytes(2 * ALIGN) + b"x" * ALIGN


def test_a_change_that_could_not_be_written_was_not_made() -> None:
    world = World()
    world.make(1)
    (owner,) = world.held

    def fail(at: int, data: bytes) -> None:
        raise KernelError("write", 5)

    before, world.disk.write = world.disk.write, fail  # type: ignore[method-assign]
    with pytest.raises(KernelError):
        world.table.free(owner)
    world.disk.write = before  # type: ignore[method-assign]
    assert world.table.find(owner) is not None
    world.table.free(owner)
