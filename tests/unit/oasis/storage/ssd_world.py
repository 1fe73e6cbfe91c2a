"""An SSD of host 1, a file, and instances of host 0 that want slices of it; no daemon."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tiermem.layer.pool import Pool, create_pool, open_pool
from tiermem.oasis.allocator.pod import DeviceId, Instance, InstanceId, Kind
from tiermem.oasis.engine import View
from tiermem.oasis.link_areas import LinkName
from tiermem.oasis.settings import OasisSettings
from tiermem.oasis.storage.claim import Claim, Grant, Outcome, Wish
from tiermem.oasis.storage.device import open_device
from tiermem.oasis.storage.disk import OpenDisk
from tiermem.oasis.storage.downlink import Downlink
from tiermem.oasis.storage.slice_table import ALIGN, DATA_AT, format_table
from tiermem.oasis.storage.ssd import Ssd

SSD = DeviceId(1, 100)
FRONT, BACK = 0, 1
ROOM = 4
Found = TypeVar("Found")


def until(look: Callable[[], Found], timeout_s: float = 10) -> Found:
    """The first true answer."""
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    return found


@dataclass
class World:
    """lives: of the daemons; instances: what the pod knows of; assigned: by its table."""

    folder: Path
    front: Pool
    back: Pool
    lives: dict[int, int] = field(default_factory=lambda: {FRONT: 10, BACK: 20})
    instances: dict[InstanceId, Instance] = field(default_factory=dict)
    assigned: dict[InstanceId, DeviceId] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Of the SSD."""
        return self.folder / "ssd"

    def format(self) -> None:
        """Once, or all is lost."""
        device = open_device(self.path, is_direct=False, lock_timeout_s=1)
        format_table(OpenDisk(device))
        device.close()

    def settings(self, **changes: Any) -> OasisSettings:
        return OasisSettings.model_validate(
            {
                "host": BACK,
                "hosts": 2,
                "ssd": [{"path": self.path, "iops": 1000}],
                "ssd_link": {"tags": 8, "buffer_bytes": 8192},
                "device_dir": self.folder / "dev",
                **changes,
            }
        )

    @contextmanager
    def ssd(self, **changes: Any) -> Iterator[Ssd]:
        """As its host's daemon has it, in a new life."""
        self.lives[BACK] += 1
        made = Ssd(0, self.lives[BACK], self.settings(**changes), self.back)
        try:
            made.offer(self.view)
            yield made
        finally:
            made.close()

    @property
    def view(self) -> View:
        return View(BACK, {}, self.instances, self.assigned, self.lives)

    def want(self, number: int, mib: int = 1, host: int = FRONT) -> InstanceId:
        """An instance without data, which the pod gives the SSD."""
        one = Instance(InstanceId(host, number), Kind.SSD, 0, None, mib * ALIGN)
        self.instances[one.id] = one
        self.assigned[one.id] = SSD
        return one.id

    def find(self, instance: InstanceId, spent: int = 0) -> Downlink:
        """Its link, once there is one."""
        name = LinkName(
            Kind.SSD, SSD, instance.host, self.lives[BACK], self.lives[FRONT], instance.number
        )
        return until(lambda: Downlink.find(self.front, name, spent))


def ask(link: Downlink, number: int, wish: Wish, mib: int = 1) -> Grant:
    """What comes of it, when it is settled."""
    claim = Claim(number, mib * ALIGN, wish)

    def answer() -> Grant | None:
        grant = link.ask(claim)
        return None if grant is None or grant.outcome is Outcome.WAIT else grant

    return until(answer)


@contextmanager
def storage_world(folder: Path) -> Iterator[World]:
    """With an SSD that has a table, and room for four slices of a MiB; before that it was
    somebody's."""
    create_pool(folder / "pool", hosts=2, entries=64, size=64 << 20)
    with (
        open_pool(folder / "pool", FRONT, run_dir=folder / "run0") as front,
        open_pool(folder / "pool", BACK, run_dir=folder / "run1") as back,
    ):
        world = World(folder, front, back)
        world.path.write_bytes(b"secret" * ((DATA_AT + ROOM * ALIGN) // 6 + 1))
        world.format()
        yield world


def outcomes(world: World, asked: Mapping[InstanceId, int]) -> list[Outcome]:
    """Of instances that each want a slice of a MiB, with that number."""
    found = []
    for instance, number in asked.items():
        link = world.find(instance)
        found.append(ask(link, number, Wish.NEW).outcome)
        link.close()
    return found
