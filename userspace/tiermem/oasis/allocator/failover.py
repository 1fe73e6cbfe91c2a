"""Where instances go when their device fails: to the backup named ahead, then anywhere.

Only who goes to the backup keeps the failed NIC's MAC, which the backup borrows, with
those that the failed one had borrowed itself; who finds no room there is spread over the
other devices and announces itself anew. An SSD's data is nowhere else: its instances wait.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from tiermem.errors import TiermemError
from tiermem.oasis.allocator.placement import Loads, spread
from tiermem.oasis.allocator.pod import (
    Device,
    DeviceId,
    Health,
    Instance,
    Kind,
    Loan,
    Move,
    Plan,
    Pod,
)


def fail_over(pod: Pod, failed: DeviceId) -> Plan:
    """All instances of a NIC that has failed. TiermemError where it has not."""
    device = pod.devices.get(failed)
    if device is None or device.kind is not Kind.NIC or device.health is not Health.FAILED:
        raise TiermemError(
            f"device {failed.number} of host {failed.host}: instances fail over from a NIC of "
            "the pod that has failed"
        )
    loads = Loads(pod)
    backup = _usable_backup(pod, device.backup)
    kept: list[Move] = []
    others: list[Instance] = []
    for instance in pod.users(failed):
        if backup is not None and loads.room(pod.devices[backup]) >= instance.expected:
            loads.add(backup, instance.expected)
            kept.append(Move(instance.id, failed, backup))
        else:
            others.append(instance)
    rest = spread(pod, loads, others, failed)
    loans: tuple[Loan, ...] = ()
    if backup is not None and kept:
        borrowed = [loan.failed for loan in pod.loans if loan.backup == failed]
        loans = tuple(Loan(one, backup) for one in (failed, *borrowed) if one != backup)
    return Plan((*kept, *rest.moves), rest.waiting, loans)


def _usable_backup(pod: Pod, backup: DeviceId | None) -> DeviceId | None:
    if backup is None or backup not in pod.devices:
        return None
    device = pod.devices[backup]
    return backup if device.kind is Kind.NIC and device.health is Health.HEALTHY else None


def stand_in(
    devices: Mapping[DeviceId, Device], device: DeviceId, lost: Container[DeviceId] = ()
) -> DeviceId:
    """What an instance's host uses before the leader has decided: the device, or where that
    has failed (or is `lost` to this host) the backup it named, or that one's.

    The leader does the same where the first backup is healthy and has room. `device` where
    there is none.
    """

    def is_healthy(one: DeviceId) -> bool:
        return one in devices and devices[one].health is Health.HEALTHY and one not in lost

    if device not in devices:
        return device
    if devices[device].health is not Health.FAILED and device not in lost:
        return device
    tried, backup = {device}, devices[device].backup
    while backup is not None and backup in devices and backup not in tried:
        if is_healthy(backup) and devices[backup].kind is devices[device].kind:
            return backup
        tried.add(backup)
        backup = devices[backup].backup
    return device
