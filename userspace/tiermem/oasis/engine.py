"""What the daemon asks of an engine: the net engine, and the storage engine, on one host.

An engine has this host's devices of a kind, and serves the instances of that kind that run
here. Who uses what it does not decide: the daemon tells the pod what the engine says of
itself, and hands it the pod as it is now, as a `View`, which the engine makes true.

All calls are from one thread, each step: every 100 ms, as soon as the pod's table or
another host's devices change, and at once when one of `descriptors` can be read. They must
not take longer than some milliseconds: what fails meanwhile waits for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tiermem.oasis.allocator.pod import Device, DeviceId, Instance, InstanceId, Kind


@dataclass(frozen=True, slots=True)
class View:
    """The pod as a host sees it, and is to act on.

    devices: of all hosts; those of hosts that are dead have failed.
    instances: of the hosts that live.
    assignments: who uses what, by the table that this host obeys.
    lives: of each host that lives, the number of its daemon's life, another each time it
    starts. What a host shared with another life of its peer is not to be used with this one.
    """

    host: int
    devices: Mapping[DeviceId, Device]
    instances: Mapping[InstanceId, Instance]
    assignments: Mapping[InstanceId, DeviceId]
    lives: Mapping[int, int]


class Engine(Protocol):
    """One kind of device, on one host."""

    @property
    def kind(self) -> Kind:
        """What it has, and what its instances want."""

    def devices(self) -> tuple[Device, ...]:
        """This host's: how they are, and what they carried since the last step."""

    def instances(self) -> tuple[Instance, ...]:
        """Those of this host, to be given devices."""

    def unreachable(self) -> tuple[DeviceId, ...]:
        """Devices of other hosts that do not answer this one, whatever their hosts say. The
        pod takes them for failed as long as any host says so."""

    def descriptors(self) -> tuple[int, ...]:
        """Files of which one that can be read asks for a step at once, in which the engine
        reads it; the same ones at all times."""

    def apply(self, view: View) -> None:
        """Serve each instance by the device that it has now; drop what is of no use any more.

        What cannot be done is kept for `apply` to try again, and told where people look.
        """

    def close(self) -> None:
        """Serve nobody any longer, and give back what other hosts should not find."""
