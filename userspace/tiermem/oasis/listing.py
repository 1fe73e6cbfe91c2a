"""What oasisd shows of the pod and of itself, as JSON can hold it. For the control thread."""

from __future__ import annotations

from typing import Any

from tiermem.oasis.allocator.leadership import leader_of
from tiermem.oasis.allocator.pod import Device, Instance, InstanceId, Kind, Pod
from tiermem.oasis.daemon import OasisDaemon
from tiermem.oasis.names import id_text
from tiermem.oasis.net.served import Served
from tiermem.oasis.storage.served import Volume


def status(daemon: OasisDaemon) -> dict[str, Any]:
    """How this daemon is, and who leads the pod."""
    term = daemon.table.term
    return {
        "host": daemon.settings.host,
        "hosts": daemon.settings.hosts,
        "pool": str(daemon.settings.pool),
        "living": sorted(daemon.member.leadership.living),
        "leader": leader_of(term) if term else None,
        "term": term,
        "standing": daemon.member.leadership.standing.value,
        "table": daemon.table.version,
        "state": daemon.settings.state,
        "state_trouble": daemon.state.trouble,
        "refused": daemon.state.refused,
        "moves": daemon.figures.moves,
        "nics": {nic.settings.interface: nic.trouble for nic in daemon.net.nics},
        "ssds": {str(ssd.settings.path): ssd.trouble for ssd in daemon.storage.ssds},
        "trouble": daemon.trouble,
    }


def listing(daemon: OasisDaemon) -> dict[str, Any]:
    """Devices and instances of the whole pod; of this host's instances, how they are."""
    pod = daemon.pod()
    own: dict[InstanceId, Served | Volume] = {one.id: one for one in daemon.net.served.values()}
    own.update((one.id, one) for one in daemon.storage.served.values())
    return {
        "host": daemon.settings.host,
        "devices": [_device(pod, one) for one in pod.devices.values()],
        "instances": [_instance(pod, one, own.get(one.id)) for one in pod.instances.values()],
        "loans": [
            {"failed": id_text(one.failed), "backup": id_text(one.backup)} for one in pod.loans
        ],
        "state_trouble": daemon.state.trouble,
    }


def slices(daemon: OasisDaemon) -> list[dict[str, Any]]:
    """Of this host's SSDs: whose they are, and whether they can be reached now."""
    return [
        {
            "device": id_text(ssd.id),
            "instance": f"{one.owner.host}/{one.owner.instance}",
            "id": f"{one.owner.id:x}",
            "bytes": one.bytes,
            "state": "used" if one.owner in ssd.state.serving else one.state.name.lower(),
        }
        for ssd in daemon.storage.ssds
        for one in ssd.state.slices
    ]


def _device(pod: Pod, device: Device) -> dict[str, Any]:
    return {
        "device": id_text(device.id),
        "kind": device.kind.name.lower(),
        "health": device.health.name.lower(),
        "capacity": device.capacity,
        "measured": device.measured,
        "expected": pod.expected(device.id),
        **({"bytes": device.bytes, "room": device.room_bytes} if _is_ssd(device) else {}),
        "backup": None if device.backup is None else id_text(device.backup),
        "instances": len(pod.users(device.id)),
    }


def _is_ssd(one: Device | Instance) -> bool:
    return one.kind is Kind.SSD


def _instance(pod: Pod, instance: Instance, served: Served | Volume | None) -> dict[str, Any]:
    device = pod.assignments.get(instance.id)
    return {
        "instance": id_text(instance.id),
        "kind": instance.kind.name.lower(),
        "expected": instance.expected,
        **({"bytes": instance.bytes} if _is_ssd(instance) else {}),
        "device": None if device is None else id_text(device),
        "wish": None if instance.wish is None else id_text(instance.wish),
        **({} if served is None else describe(served)),
    }


def describe(served: Served | Volume) -> dict[str, Any]:
    """An instance of this host; by: the device that serves it now."""
    return {
        "instance": id_text(served.id),
        "name": served.saved.name,
        **(_of_volume(served) if isinstance(served, Volume) else {"mac": served.saved.tap.mac}),
        "by": None if served.device is None else id_text(served.device),
        "is_ready": served.is_ready,
        "trouble": served.trouble,
    }


def _of_volume(volume: Volume) -> dict[str, Any]:
    return {
        "path": None if volume.path is None else str(volume.path),
        "link": str(volume.link_path),
        "is_leaving": volume.saved.is_leaving,
        "io_timeout_s": volume.saved.io_timeout_s,
    }
