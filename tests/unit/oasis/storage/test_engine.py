"""The storage engine of a host of instances, over an SSD of another; the block device itself is
tested where the kernel has ublk (tests/vm/oasis)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiermem.errors import NameTakenError, TiermemError
from tiermem.oasis.allocator.pod import DeviceId, InstanceId
from tiermem.oasis.engine import View
from tiermem.oasis.saved import SavedVolume
from tiermem.oasis.storage.engine import StorageEngine
from tiermem.oasis.storage.slice_table import ALIGN, Owner
from tiermem.oasis.storage.ssd import Ssd
from tiermem.oasis.storage.ublk import CONTROL

from tests.unit.oasis.storage.ssd_world import FRONT, SSD, World, storage_world, until

pytestmark = pytest.mark.skipif(CONTROL.exists(), reason="the kernel's module is loaded")
INSTANCE = InstanceId(FRONT, 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with storage_world(tmp_path) as made:
        yield made


def volume(number: int = 0, **changes: object) -> SavedVolume:
    plain = SavedVolume(number=number, name=f"v{number}", bytes=ALIGN, id=number + 1)
    return plain.model_copy(update=changes)


class Host:
    """The host of instances as its daemon has it: it keeps what is to outlive the daemon."""

    def __init__(self, world: World, ssd: Ssd | None = None) -> None:
        self.world, self.ssd = world, ssd
        self.kept: tuple[SavedVolume, ...] = ()
        self.engine: StorageEngine

    def keep(self) -> None:
        self.kept = tuple(one.saved for one in self.engine.served.values())

    @contextmanager
    def life(self) -> Iterator[StorageEngine]:
        self.world.lives[FRONT] += 1
        settings = self.world.settings(host=FRONT, ssd=[])
        self.engine = StorageEngine(
            settings, self.world.front, self.world.lives[FRONT], self.keep, self.kept
        )
        try:
            yield self.engine
        finally:
            self.engine.close()

    def attach(self, saved: SavedVolume) -> None:
        self.engine.attach(saved).start()
        self.world.assigned[InstanceId(FRONT, saved.number)] = SSD

    def step(self) -> None:
        """What both hosts' daemons do, and what the pod knows then."""
        world = self.world
        world.instances = {one.id: one for one in self.engine.instances()}
        view = world.view
        mine = View(FRONT, {}, world.instances, dict(world.assigned), dict(world.lives))
        self.engine.apply(mine)
        if self.ssd is not None:
            self.ssd.offer(view)

    def until(self, look: Callable[[], object]) -> None:
        def stepped() -> object:
            self.step()
            return look()

        until(stepped)

    def trouble(self) -> str:
        return self.engine.served[0].trouble


def owners(ssd: Ssd) -> list[Owner]:
    return [one.owner for one in ssd.state.slices]


def test_a_volume_gets_a_slice_keeps_it_over_restarts_and_gives_it_back(world: World) -> None:
    """What it must not forget is kept before it goes on; without ublk it says what lacks."""
    with world.ssd() as ssd:
        host = Host(world, ssd)
        with host.life():
            host.attach(volume())
            host.until(lambda: "modprobe ublk_drv" in host.trouble())
            assert (host.kept[0].device, host.kept[0].has_data) == (SSD, True)
            assert host.engine.instances()[0].wish == SSD
            with pytest.raises(NameTakenError):
                host.engine.attach(volume(1, name="v0"))
        assert owners(ssd) == [Owner(*INSTANCE, 1)]
        # The pod has forgotten it, as when its host was dead for long.
        world.assigned.clear()
        with host.life():
            host.until(lambda: "modprobe ublk_drv" in host.trouble())
            assert owners(ssd) == [Owner(*INSTANCE, 1)]
            answer = host.engine.served[0].detach(is_forced=False)
            host.until(answer.done)
            answer.result()
            host.until(lambda: not host.engine.served)
            until(lambda: not ssd.state.slices)
        assert host.kept == ()


def test_a_daemon_that_dies_while_it_gives_a_slice_back_goes_on_with_that(world: World) -> None:
    with world.ssd() as ssd:
        host = Host(world, ssd)
        with host.life():
            host.attach(volume())
            host.until(lambda: host.kept and host.kept[0].has_data)
        assert owners(ssd)
        host.kept = (host.kept[0].model_copy(update={"is_leaving": True}),)
        with host.life():
            host.until(lambda: not host.engine.served)
        until(lambda: not ssd.state.slices)


def test_one_that_was_given_another_ssd_before_it_had_data_goes_there(world: World) -> None:
    """Under another number, for the first SSD's host may have died with its slice made."""
    with world.ssd() as ssd:
        host = Host(world, ssd)
        with host.life() as engine:
            engine.attach(volume()).start()
            world.assigned[INSTANCE] = DeviceId(5, 100)
            host.until(lambda: host.kept and host.kept[0].device == DeviceId(5, 100))
            world.assigned[INSTANCE] = SSD
            host.until(lambda: host.kept[0].has_data)
            assert host.kept[0].device == SSD
            assert owners(ssd) == [Owner(*INSTANCE, host.kept[0].id)]
            assert host.kept[0].id != 1


def test_data_is_looked_for_where_it_is_and_nowhere_else(world: World) -> None:
    """An SSD that does not have it (any more) gives it no new slice instead."""
    with world.ssd() as ssd:
        host = Host(world, ssd)
        host.kept = (volume(device=SSD, has_data=True),)
        with host.life():
            host.until(lambda: "has no slice of it any more" in host.trouble())
        assert not ssd.state.slices


def test_an_ssd_whose_host_is_gone_is_left_by_force_only(world: World) -> None:
    host = Host(world)
    host.kept = (volume(device=SSD, has_data=True),)
    del world.lives[SSD.host]
    with host.life():
        host.until(lambda: "does not live" in host.trouble())
        first = host.engine.served[0].detach(is_forced=False)
        host.until(first.done)
        assert host.kept[0].is_leaving
        second = host.engine.served[0].detach(is_forced=True)
        host.until(second.done)
        host.until(lambda: not host.engine.served)
    assert host.kept == ()


def test_what_could_not_be_kept_is_not_relied_on(world: World) -> None:
    with world.ssd() as ssd:
        host = Host(world, ssd)

        def fail() -> None:
            raise TiermemError("the disk is full")

        with host.life() as engine:
            engine._keep = fail
            host.attach(volume())
            with pytest.raises(TiermemError, match="full"):
                host.until(lambda: False)
            assert not ssd.state.slices
            engine._keep = host.keep
            host.until(lambda: host.kept and host.kept[0].has_data)
