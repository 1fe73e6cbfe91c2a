"""What people ask for: one instance to one device, or a device emptied.

An SSD's instance does not move: its data would have to be copied.
"""

from __future__ import annotations

from collections.abc import Iterable

from tiermem.errors import NoSpaceError, TiermemError
from tiermem.oasis.allocator.placement import Loads, spread
from tiermem.oasis.allocator.pod import (
    DeviceId,
    Health,
    Instance,
    InstanceId,
    Kind,
    Move,
    Plan,
    Pod,
)


def move(pod: Pod, instance: InstanceId, target: DeviceId) -> Plan:
    """That one there; nothing to do where it is there. TiermemError where it must not."""
    wanting, device = pod.instances.get(instance), pod.devices.get(target)
    where = (
        f"instance {instance.number} of host {instance.host} to device {target.number} "
        f"of host {target.host}"
    )
    if wanting is None or device is None:
        raise TiermemError(f"{where}: the pod has no such {'device' if wanting else 'instance'}")
    if device.kind is not wanting.kind:
        raise TiermemError(f"{where}: wants a {wanting.kind.name}, not a {device.kind.name}")
    if pod.assignments.get(instance) == target:
        return Plan()
    if device.health is not Health.HEALTHY:
        raise TiermemError(f"{where}: the device is {device.health.name.lower()}, not healthy")
    if pod.room(target) < wanting.expected:
        raise NoSpaceError(
            f"{where}: expects {wanting.expected}, and there is room for {pod.room(target)}"
        )
    return Plan((Move(instance, pod.assignments.get(instance), target),))


def drain(pod: Pod, device: DeviceId) -> Plan:
    """All of its instances elsewhere; `waiting` stay, for want of room. TiermemError."""
    if device not in pod.devices:
        raise TiermemError(f"device {device.number} of host {device.host}: not one of the pod's")
    return spread(pod, Loads(pod), pod.users(device), device)


def grant(pod: Pod) -> Plan:
    """Wishes that can be fulfilled. Who has data goes where it is, however that SSD is."""
    moves: list[Move] = []
    for instance in pod.instances.values():
        if instance.wish is None:
            continue
        if instance.has_data:
            moves.extend(_to_its_data(pod, instance, instance.wish))
            continue
        try:
            plan = move(pod, instance.id, instance.wish)
        except TiermemError:
            # Not now: the device has failed or is full. Who asked was told by `move`.
            continue
        moves.extend(plan.moves)
        pod = pod.after(plan)
    return Plan(tuple(moves))


def _to_its_data(pod: Pod, instance: Instance, home: DeviceId) -> Iterable[Move]:
    device, at = pod.devices.get(home), pod.assignments.get(instance.id)
    if device is not None and device.kind is Kind.SSD and at != home:
        yield Move(instance.id, at, home)
