"""The areas of the pool in which a device's host and an instance's host meet.

The device's host makes one for each host that wants its NIC, and for each instance that
wants its SSD, under a name that tells both hosts' lives, so that neither takes what another
life of its peer has left for new. The other finds it by that name. Whoever sees that one of
the two lives is over removes it; the memory is free once nobody holds it any more.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tiermem.errors import MissingError
from tiermem.layer.pool import Area, Pool
from tiermem.oasis.allocator.pod import DeviceId, Kind

_NAME = re.compile(r"oasis/(nic|ssd)/(\d+)\.(\d+)/(\d+)(?:\.(\d+))?/([0-9a-f]+)-([0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class LinkName:
    """Of the link between a device and a host; life, peer_life: of the daemons of the
    device's host and of that one. instance: of that host, where it is for one only."""

    kind: Kind
    device: DeviceId
    peer: int
    life: int
    peer_life: int
    instance: int | None = None

    def __str__(self) -> str:
        peer = f"{self.peer}" if self.instance is None else f"{self.peer}.{self.instance}"
        return (
            f"oasis/{self.kind.name.lower()}/{self.device.host}.{self.device.number}/"
            f"{peer}/{self.life:x}-{self.peer_life:x}"
        )

    @classmethod
    def parse(cls, name: str) -> LinkName | None:
        """None where an extent of that name is no link."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        kind, host, number, peer, instance, life, peer_life = found.groups()
        return cls(
            Kind[kind.upper()],
            DeviceId(int(host), int(number)),
            int(peer),
            int(life, 16),
            int(peer_life, 16),
            None if instance is None else int(instance),
        )


def make_area(pool: Pool, name: LinkName, size: int) -> Area:
    """A new one, held; whatever has that name is removed. NoSpaceError."""
    with contextlib.suppress(MissingError):
        pool.remove(str(name))
    return pool.create_area(str(name), size)


def find_area(pool: Pool, name: LinkName) -> Area | None:
    """The link's memory, held; None where it is not made (yet)."""
    if pool.find(str(name)) is None:
        return None
    try:
        return pool.open_area(str(name))
    except MissingError:
        return None


def is_current(pool: Pool, area: Area) -> bool:
    """Whether the area that is held is the one that others find by its name."""
    found = pool.find(area.entry.name)
    return found is not None and found.extent == area.entry.extent


def drop_area(pool: Pool, area: Area) -> None:
    """Neither hold it nor let others find it."""
    if is_current(pool, area):
        with contextlib.suppress(MissingError):
            pool.remove(area.entry.name)
    area.close()


def sweep(pool: Pool, host: int, life: int, lives: Mapping[int, int]) -> None:
    """Remove what is of lives that are over, as `host`, in its own `life`, sees it.

    Of other hosts' lives only older ones than `lives` has are over: a newer one may have
    made its links already. So are those of hosts that the pool takes for dead.
    """
    now = {**lives, host: life}
    dead = pool.watch.dead() - {host}
    for entry in pool.entries():
        name = LinkName.parse(entry.name)
        if name is None:
            continue
        is_over = not dead.isdisjoint((name.device.host, name.peer)) or (
            name.life < now.get(name.device.host, 0) or name.peer_life < now.get(name.peer, 0)
        )
        if is_over:
            with contextlib.suppress(MissingError):
                pool.remove(entry.name)
