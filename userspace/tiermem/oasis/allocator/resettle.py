"""SSDs' newcomers, who have no data yet, leave an SSD that cannot take them.

Its host may have less room than it had when the leader chose it: a slice of somebody who is
away, or whom the leader did not know yet, counts too.
"""

from __future__ import annotations

from tiermem.oasis.allocator.placement import Loads, spread
from tiermem.oasis.allocator.pod import Device, Health, Instance, InstanceId, Kind, Move, Plan, Pod


def resettle(pod: Pod) -> Plan:
    """Newcomers of SSDs that are not healthy, and the largest of those that do not fit;
    `waiting` stay, for want of room elsewhere."""
    moves: list[Move] = []
    waiting: list[InstanceId] = []
    for device in pod.devices.values():
        if device.kind is not Kind.SSD:
            continue
        plan = spread(pod, Loads(pod), _leaving(pod, device), device.id)
        moves.extend(plan.moves)
        waiting.extend(plan.waiting)
        pod = pod.after(plan)
    return Plan(tuple(moves), tuple(waiting))


def _leaving(pod: Pod, device: Device) -> list[Instance]:
    newcomers = pod.newcomers(device.id)
    if device.health is not Health.HEALTHY:
        return newcomers
    leaving: list[Instance] = []
    room_bytes = pod.room_bytes(device.id)
    for one in newcomers:
        if room_bytes >= 0:
            break
        leaving.append(one)
        room_bytes += one.bytes
    return leaving
