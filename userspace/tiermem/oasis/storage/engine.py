"""The storage engine of a host: its SSDs for the pod, and slices of the pod's for its instances.

SSDs and volumes have threads of their own (`ssd`, `served`): what they ask of kernels, drives
and each other takes longer than a step may. A step tells them of the pod, and keeps what they
need kept.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from tiermem.errors import MissingError, NameTakenError, TiermemError
from tiermem.layer.pool import Pool
from tiermem.oasis.allocator.pod import Device, DeviceId, Instance, InstanceId, Kind
from tiermem.oasis.engine import View
from tiermem.oasis.names import id_text
from tiermem.oasis.saved import SavedVolume
from tiermem.oasis.settings import OasisSettings
from tiermem.oasis.storage.block_device import BlockDeviceCounters
from tiermem.oasis.storage.served import Volume
from tiermem.oasis.storage.slice_table import Owner
from tiermem.oasis.storage.ssd import Ssd
from tiermem.oasis.storage.ssd_state import SsdState
from tiermem.oasis.storage.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class StorageFigures:
    """What the SSDs of this host have done for all, and what this host's volumes were asked."""

    ssds: Mapping[DeviceId, SsdState]
    volumes: Mapping[str, BlockDeviceCounters]


class StorageEngine:
    """See `engine.Engine`; served: the volumes of this host by their numbers as instances."""

    kind = Kind.SSD

    def __init__(
        self,
        settings: OasisSettings,
        pool: Pool,
        life: int,
        keep: Callable[[], None],
        volumes: Iterable[SavedVolume] = (),
    ) -> None:
        """keep: has what the volumes have `saved` outlive the daemon, or raises TiermemError."""
        self.host = settings.host
        self._keep = keep
        self._lives: Mapping[int, int] = {}
        self._instances: Mapping[InstanceId, Instance] = {}
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._around = Surroundings(pool, settings.host, life, settings.device_dir, self._ring)
        self.ssds = [Ssd(number, life, settings, pool) for number in range(len(settings.ssd))]
        self.served = {one.number: Volume(one, self._around) for one in volumes}
        self._ended: list[Volume] = []
        for volume in self.served.values():
            volume.start()

    def _ring(self) -> None:
        os.eventfd_write(self._alarm, 1)

    def descriptors(self) -> tuple[int, ...]:
        """What volumes ring."""
        return (self._alarm,)

    def devices(self) -> tuple[Device, ...]:
        """This host's SSDs."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._alarm)
        return tuple(one.device() for one in self.ssds)

    def instances(self) -> tuple[Instance, ...]:
        """Those of this host that have a slice, or want one."""
        return tuple(one.wanted() for one in self.served.values())

    def unreachable(self) -> tuple[DeviceId, ...]:
        """None: whoever uses an SSD that does not answer waits for it."""
        return ()

    def apply(self, view: View) -> None:
        """See `Engine`."""
        self._lives, self._instances = view.lives, view.instances
        for volume in self.served.values():
            volume.follow(view.assignments.get(volume.id), view.lives)
        for ssd in self.ssds:
            ssd.offer(view)
        gone = [number for number, one in self.served.items() if one.is_gone]
        self._ended = [one for one in self._ended if not one.has_ended]
        self._ended += [self.served.pop(number) for number in gone]
        wanted = {number: one.saved for number, one in self.served.items()}
        if gone or any(one.kept is not wanted[number] for number, one in self.served.items()):
            self._keep()
            for number, saved in wanted.items():
                self.served[number].confirm(saved)

    def find(self, name: str) -> Volume | None:
        """By its name, its number here, or `HOST/NUMBER`."""
        for number, one in self.served.items():
            if name in (one.saved.name, str(number), f"{self.host}/{number}"):
                return one
        return None

    def attach(self, saved: SavedVolume) -> Volume:
        """A new one, which `start` has served. NameTakenError."""
        if any(one.saved.name == saved.name for one in self.served.values()):
            raise NameTakenError(f"instance {saved.name}: this host has one of that name")
        made = Volume(saved, self._around)
        self.served[saved.number] = made
        return made

    def find_ssd(self, device: DeviceId) -> Ssd:
        """One of this host's. MissingError."""
        for ssd in self.ssds:
            if ssd.id == device:
                return ssd
        raise MissingError(f"device {id_text(device)}: host {self.host} has {len(self.ssds)} SSDs")

    def forget(self, ssd: Ssd, owner: Owner) -> Future[None]:
        """Take a slice from an instance that will not come back. MissingError; TiermemError
        where its host says that it is there."""
        instance = InstanceId(owner.host, owner.instance)
        if owner.host in self._lives and instance in self._instances:
            raise TiermemError(
                f"slice {owner.id:x}: host {owner.host} lives and has instance "
                f"{id_text(instance)}: detach it there"
            )
        return ssd.forget(owner)

    def figures(self) -> StorageFigures:
        """What was done since the start."""
        counted = {one.saved.name: one.counters for one in self.served.values()}
        return StorageFigures(
            {one.id: one.state for one in self.ssds},
            {name: counters for name, counters in counted.items() if counters is not None},
        )

    def close(self) -> None:
        """See `Engine`: volumes first, which may be on an SSD of this host."""
        for volume in self.served.values():
            volume.end()
        for volume in (*self.served.values(), *self._ended):
            volume.join()
        for ssd in self.ssds:
            ssd.close()
        os.close(self._alarm)
