"""Which device an instance gets: the least loaded one that has room for it. How loaded an SSD
is says what it has more of: commands, or bytes given away.

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
        self._room_bytes = {one: pod.room_bytes(one) for one in pod.devices}
        self._beyond = {
            key: max(0, device.measured - self._expected[key])
            for key, device in pod.devices.items()
        }

    def add(self, device: DeviceId, expected: int, size: int = 0) -> None:
        """It has been given that much more, or less, and a slice of so many bytes."""
        self._expected[device] += expected
        self._room_bytes[device] -= size

    def room(self, device: Device) -> int:
        """What it could still be given."""
        return device.capacity - self._expected[device.id]

    def fits(self, device: Device, instance: Instance) -> bool:
        """Whether it has room for that one, by load and by bytes."""
        has_bytes = self._room_bytes[device.id] >= instance.bytes
        return has_bytes and self.room(device) >= instance.expected

    def share(self, device: Device, more: int = 0) -> Fraction:
        """Load over capacity, exactly, with `more` expected."""
        return Fraction(
            self._expected[device.id] + self._beyond[device.id] + more, max(1, device.capacity)
        )

    def _fill(self, device: Device, more_bytes: int) -> Fraction:
        """How much of an SSD is given away, with so much more; 0 of a NIC."""
        if not device.bytes:
            return Fraction(0)
        return Fraction(device.bytes - self._room_bytes[device.id] + more_bytes, device.bytes)

    def best(self, instance: Instance, but: DeviceId | None = None) -> Device | None:
        """The device for it; None where no healthy one has room. `but`: not this one."""

        def rank(device: Device) -> tuple[int, bool, DeviceId]:
            load, fill = self.share(device, instance.expected), self._fill(device, instance.bytes)
            steps = int(max(load, fill) * STEPS)
            return steps, device.id.host != instance.id.host, device.id

        fitting = [
            one
            for one in self._pod.healthy(instance.kind)
            if one.id != but and self.fits(one, instance)
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
        loads.add(target.id, instance.expected, instance.bytes)
        if source is not None:
            loads.add(source, -instance.expected, -instance.bytes)
        moves.append(Move(instance.id, source, target.id))
    return Plan(tuple(moves), tuple(waiting))


def place(pod: Pod) -> Plan:
    """A device for each instance that has none; who has data somewhere waits for that."""
    unserved = pod.unserved()
    bound = tuple(one.id for one in unserved if one.has_data)
    plan = spread(pod, Loads(pod), [one for one in unserved if not one.has_data])
    return Plan(plan.moves, (*plan.waiting, *bound))
