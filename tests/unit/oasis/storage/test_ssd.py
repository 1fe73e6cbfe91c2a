"""An SSD that is lent by slices: to whom they belong, and to nobody else, over all restarts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiermem.errors import MissingError, TiermemError
from tiermem.oasis.allocator.pod import Health, InstanceId
from tiermem.oasis.storage.claim import Claim, Outcome, Wish
from tiermem.oasis.storage.frontend import Frontend, Opcode, Request, Status
from tiermem.oasis.storage.slice_table import ALIGN, Owner

from tests.unit.oasis.storage.hosts import read, run, write
from tests.unit.oasis.storage.ssd_world import (
    BACK,
    FRONT,
    ROOM,
    SSD,
    World,
    ask,
    outcomes,
    storage_world,
    until,
)

BLOCK = 4096
BLOCKS = ALIGN // BLOCK


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with storage_world(tmp_path) as made:
        yield made


def test_a_slice_is_zeros_is_written_outlives_both_daemons_and_goes_on(world: World) -> None:
    """A write that is in flight when the SSD's daemon goes is done by the next one."""
    instance = world.want(0)
    with world.ssd():
        link = world.find(instance)
        assert ask(link, 7, Wish.NEW).outcome is Outcome.SERVED
        frontend = Frontend(link.area)
        assert read(frontend, BLOCKS - 1, 1) == bytes(BLOCK)
        assert write(frontend, 0, b"a" * BLOCK) is Status.OK
    tag = frontend.submit(Request(Opcode.WRITE, 1, 1), b"b" * BLOCK)
    with world.ssd():
        second = world.find(instance)
        assert ask(second, 7, Wish.ITS).outcome is Outcome.SERVED
        frontend.reconnect(second.area)
        (done,) = frontend.wait(20)
        assert (done.tag, done.status) == (tag, Status.OK)
        frontend.close()
    world.lives[FRONT] += 1
    with world.ssd() as ssd:
        third = world.find(instance)
        assert ask(third, 7, Wish.ITS).outcome is Outcome.SERVED
        with Frontend(third.area) as again:
            assert read(again, 0, 2) == b"a" * BLOCK + b"b" * BLOCK
        assert [one.owner for one in ssd.state.slices] == [Owner(*instance, 7)]
    for one in (link, second, third):
        one.close()


def test_what_is_given_back_is_somebody_elses_and_zeros(world: World) -> None:
    first, second = world.want(0, ROOM), world.want(1, ROOM)
    with world.ssd() as ssd:
        link, other = world.find(first), world.find(second)
        assert ask(link, 1, Wish.NEW, ROOM).outcome is Outcome.SERVED
        assert ask(other, 2, Wish.NEW, ROOM).outcome is Outcome.NO_ROOM
        with Frontend(link.area) as frontend:
            for lba in range(0, ROOM * BLOCKS, 8):
                assert write(frontend, lba, b"x" * BLOCK) is Status.OK
        assert ask(link, 1, Wish.NONE).outcome is Outcome.GONE
        # The other is looked at again and again, and gets what has become free.
        until(lambda: ask(other, 2, Wish.NEW, ROOM).outcome is Outcome.SERVED)
        assert [one.owner for one in ssd.state.slices] == [Owner(*second, 2)]
        with Frontend(other.area) as frontend:
            for lba in range(0, ROOM * BLOCKS, 8):
                assert read(frontend, lba, 2) == bytes(2 * BLOCK)
        # The number that is gone stays so for who says that it has data there.
        assert ask(link, 1, Wish.ITS).outcome is Outcome.GONE
        link.close()
        other.close()


def test_nobody_gets_what_is_anothers_by_saying_so(world: World) -> None:
    """The owner is whom the link is made for, whatever number is claimed."""
    victim, thief = world.want(0), world.want(1)
    with world.ssd() as ssd:
        link, other = world.find(victim), world.find(thief)
        assert ask(link, 5, Wish.NEW).outcome is Outcome.SERVED
        with Frontend(link.area) as frontend:
            assert write(frontend, 0, b"v" * BLOCK) is Status.OK
            assert ask(other, 5, Wish.ITS).outcome is Outcome.GONE
            assert ask(other, 5, Wish.NONE).outcome is Outcome.GONE
            assert ask(other, 5, Wish.NEW).outcome is Outcome.SERVED
            with Frontend(other.area) as theirs:
                assert read(theirs, 0, 1) == bytes(BLOCK)
                # Behind its own end is the other's slice, or nothing.
                beyond = run(theirs, Request(Opcode.READ, BLOCKS, 1))
                assert beyond.status is Status.OUT_OF_RANGE
            assert read(frontend, 0, 1) == b"v" * BLOCK
        assert len({one.owner for one in ssd.state.slices}) == 2
        link.close()
        other.close()


def test_only_what_the_pods_table_gives_is_begun(world: World) -> None:
    """Not without the table's word, not more than was asked of the pod, not while draining."""
    unasked, greedy = world.want(0), world.want(1)
    del world.assigned[unasked]
    world.instances[unasked] = replace(world.instances[unasked], wish=SSD)
    with world.ssd() as ssd:
        link = world.find(unasked)
        assert ask(link, 1, Wish.ITS).outcome is Outcome.GONE
        other = world.find(greedy)
        assert ask(other, 2, Wish.NEW, mib=2).outcome is Outcome.WRONG_SIZE
        assert ssd.state.slices == ()
        ssd.is_draining = True
        late = world.want(2)
        ssd.offer(world.view)
        third = world.find(late)
        answer = until(lambda: third.ask(Claim(3, ALIGN, Wish.NEW)))
        assert answer.outcome is Outcome.WAIT
        assert (ssd.state.slices, ssd.health) == ((), Health.DRAINING)
        for one in (link, other, third):
            one.close()


def test_a_host_has_no_more_slices_than_it_may(world: World) -> None:
    wanting = {world.want(number): number + 1 for number in range(4)}
    with world.ssd(slices_per_host=2) as ssd:
        asked = dict(list(wanting.items())[:2])
        assert outcomes(world, asked) == [Outcome.SERVED] * 2
        # Of the others it gets no links; nor of one that takes a link by another number.
        until(lambda: ssd.state.slices)
        ssd.offer(world.view)
        link = world.find(InstanceId(FRONT, 0))
        assert ask(link, 77, Wish.NEW).outcome is Outcome.TOO_MANY
        assert len(ssd.state.slices) == 2
        link.close()


def test_random_bytes_in_a_link_do_no_harm(world: World) -> None:
    good, evil = world.want(0), world.want(1)
    chance = random.Random(1)
    with world.ssd() as ssd:
        link, other = world.find(good), world.find(evil)
        assert ask(link, 1, Wish.NEW).outcome is Outcome.SERVED
        with Frontend(link.area) as frontend:
            for round_ in range(20):
                view = other.area.view
                at = chance.randrange(len(view) - 8192)
                view[at : at + 4096] = chance.randbytes(4096)
                view[-4096:] = chance.randbytes(4096)
                del view
                assert write(frontend, round_, b"g" * BLOCK) is Status.OK
        assert [one.owner for one in ssd.state.slices] == [Owner(*good, 1)]
        assert ssd.health is Health.HEALTHY
        link.close()
        other.close()


def test_an_ssd_without_a_table_is_not_used_and_says_how_to_begin_one(world: World) -> None:
    world.path.write_bytes(b"a file system" * 1_000_000)
    world.want(0)
    with world.ssd() as ssd:
        until(lambda: ssd.trouble)
        assert f"`tiermem oasis format-ssd {world.path}`" in ssd.trouble
        assert ssd.device().health is Health.FAILED
        world.format()
        until(lambda: ssd.device().health is Health.HEALTHY)
        until(lambda: not ssd.trouble)


def test_an_ssd_that_goes_has_failed_and_is_served_again_when_it_is_back(world: World) -> None:
    instance = world.want(0)
    with world.ssd() as ssd:
        link = world.find(instance)
        assert ask(link, 1, Wish.NEW).outcome is Outcome.SERVED
        generation = link.area.generation
        world.path.rename(world.folder / "elsewhere")
        until(lambda: ssd.health is Health.FAILED)
        assert "has gone" in ssd.trouble
        (world.folder / "elsewhere").rename(world.path)
        again = world.find(instance, spent=generation)
        assert ask(again, 1, Wish.ITS).outcome is Outcome.SERVED
        link.close()
        again.close()


def test_a_slice_is_forgotten_only_when_nobody_uses_it(world: World) -> None:
    instance = world.want(0)
    owner = Owner(*instance, 1)
    with world.ssd() as ssd:
        link = world.find(instance)
        assert ask(link, 1, Wish.NEW).outcome is Outcome.SERVED
        with pytest.raises(TiermemError, match="is in use; its own host detaches it"):
            ssd.forget(owner).result(10)
        link.close()
        del world.lives[FRONT]
        ssd.offer(world.view)
        until(lambda: not ssd.state.serving)
        assert [one.owner for one in ssd.state.slices] == [owner]
        with pytest.raises(MissingError, match="there is none of that number"):
            ssd.forget(Owner(*instance, 2)).result(10)
        ssd.forget(owner).result(10)
        until(lambda: not ssd.state.slices)


def test_what_it_has_room_for_and_does_is_told(world: World) -> None:
    instance = world.want(0, 3)
    with world.ssd() as ssd:
        link = world.find(instance)
        assert ask(link, 1, Wish.NEW, 3).outcome is Outcome.SERVED
        with Frontend(link.area) as frontend:
            for lba in range(5):
                assert write(frontend, lba, b"x" * BLOCK) is Status.OK
        until(lambda: ssd.state.counters.completed == 5)
        device = ssd.device()
        assert (device.id, device.capacity) == (SSD, 1000)
        assert (device.bytes, device.room_bytes) == (ROOM * ALIGN, ALIGN)
        link.close()


def test_hosts_that_are_dead_have_no_link_and_keep_their_slices(world: World) -> None:
    instance = world.want(0)
    with world.ssd() as ssd:
        link = world.find(instance)
        assert ask(link, 1, Wish.NEW).outcome is Outcome.SERVED
        link.close()
        life = world.lives.pop(FRONT)
        gone, world.instances = world.instances, {}
        ssd.offer(world.view)
        until(lambda: not ssd.state.serving)
        assert len(ssd.state.slices) == 1
        world.lives[FRONT], world.instances = life + 1, gone
        ssd.offer(world.view)
        again = world.find(instance)
        assert ask(again, 1, Wish.ITS).outcome is Outcome.SERVED
        again.close()
    assert BACK in world.lives
