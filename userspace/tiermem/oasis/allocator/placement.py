"""Which device an instance gets: the least loaded one that has room for it.

Of devices that are loaded alike the instance's own host's is preferred, which costs
no way through the pool; then the lowest number, so that any leader decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from tiermem.oasis.allocator.pod import Device, DeviceId, Instance, InstanceId, Move, Plan, Pod

# Loads are compared in steps of 1/64 of a device: less is noise of telemetry, and no
# reason to go to another host.
STEPS = 64


class Loads:
    """How loaded devices are, while a plan is made.

    What telemetry saw beyond what instances were expected to take stays with the device,
    whoever moves: nobody knows whose it is.
    """

    def __init__(self, pod: Pod) -> None:
        self._pod = pod
        self._expected = {one: pod.expected(one) for one in pod.devices}
        self._beyond = {
            key: max(0, device.measured - self._expected[key])
            for key, device in pod.devices.items()
        }

    def add(self, device: DeviceId, expected: int) -> None:
        """It has been given that much more, or less."""
        self._expected[device] += expected

    def room(self, device: Device) -> int:
        """What it could still be given."""
        return device.capacity - self._expected[device.id]

    def share(self, device: Device, more: int = 0) -> Fraction:
        """Load over capacity, exactly, with `more` expected."""
        return Fraction(
            self._expected[device.id] + self._beyond[device.id] + more, max(1, device.capacity)
        )

    def best(self, instance: Instance, but: DeviceId | None = None) -> Device | None:
        """The device for it; None where no healthy one has room. `but`: not this one."""

        def rank(device: Device) -> tuple[int, bool, DeviceId]:
            steps = int(self.share(device, instance.expected) * STEPS)
            return steps, device.id.host != instance.id.host, device.id

        fitting = [
            one
            for one in self._pod.healthy(instance.kind)
            if one.id != but and self.room(one) >= instance.expected
        ]
        return min(fitting, key=rank, default=None)


def spread(
    pod: Pod, loads: Loads, instances: Iterable[Instance], source: DeviceId | None = None
) -> Plan:
    """Each of them, in this order, to the best device that is not `source`."""
    moves: list[Move] = []
    waiting: list[InstanceId] = []
    for instance in instances:
        target = loads.best(instance, but=source)
        if target is None:
            waiting.append(instance.id)
            continue
        loads.add(target.id, instance.expected)
        if source is not None:
            loads.add(source, -instance.expected)
        moves.append(Move(instance.id, source, target.id))
    return Plan(tuple(moves), tuple(waiting))


def place(pod: Pod) -> Plan:
    """A device for each instance that has none."""
    return spread(pod, Loads(pod), pod.unserved())
