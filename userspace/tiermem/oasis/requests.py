"""What people ask of oasisd: instances to be served, moved, and left; NICs to be emptied.

For the control thread. What was answered is kept over a restart.
"""

from __future__ import annotations

import secrets

from pydantic import Field

from tiermem.errors import ConfigError, MissingError, TiermemError
from tiermem.native._net import lib
from tiermem.oasis.allocator.pod import DeviceId
from tiermem.oasis.allocator.requests import move
from tiermem.oasis.bandwidth import Bandwidth
from tiermem.oasis.daemon import OasisDaemon
from tiermem.oasis.names import DeviceName, id_text
from tiermem.oasis.net.mac import mac_number, mac_text
from tiermem.oasis.net.nic import Nic
from tiermem.oasis.net.served import Served
from tiermem.oasis.net.tap import NAME_BYTES_MAX, TapSettings
from tiermem.oasis.saved import SavedInstance
from tiermem.service.config import Settings

_MADE_UP = 0x02 << 40  # locally administered, of one host


class AttachNic(Settings):
    """A new interface in a network namespace; mac: one is made up."""

    namespace: str = Field(min_length=1)
    name: str = Field(default="eth0", min_length=1, max_length=NAME_BYTES_MAX)
    mac: str | None = None
    mtu: int = Field(default=1500, ge=576, le=9000)
    expected: Bandwidth = Field(default=0, validate_default=False)


class MoveInstance(Settings):
    """device: None leaves it to the allocator again."""

    instance: str
    device: DeviceName | None


class DrainDevice(Settings):
    """undo: it may be given instances again."""

    device: DeviceName
    undo: bool = False


def attach(daemon: OasisDaemon, request: AttachNic) -> Served:
    """Make the interface; which NIC carries it the pod decides next. TiermemError."""
    mac = mac_text(secrets.randbits(40) | _MADE_UP) if request.mac is None else request.mac
    if not lib.net_mac_is_local(mac_number(mac)) or lib.net_mac_is_multicast(mac_number(mac)):
        raise ConfigError(
            f"mac = {mac}: must be one that an administrator gives to one interface: its second "
            "digit is 2, 6, a or e"
        )
    tap = TapSettings(
        name=request.name,
        mac=mac.lower(),
        namespace=request.namespace,
        mtu=request.mtu,
    )
    number = daemon.net.free_number()
    served = daemon.net.attach(SavedInstance(number=number, tap=tap, expected_Bps=request.expected))
    try:
        # In this order, so that there is no interface which no daemon knows of.
        daemon.save()
        served.persist()
    except TiermemError:
        daemon.net.detach(served)
        raise
    return served


def detach(daemon: OasisDaemon, name: str) -> None:
    """Take the interface away. MissingError."""
    daemon.net.detach(daemon.net.find(name))
    daemon.save()


def move_to(daemon: OasisDaemon, request: MoveInstance) -> Served:
    """Have an instance of this host on that device, and stay there. TiermemError where it
    cannot be, now."""
    served = daemon.net.find(request.instance)
    if request.device is not None:
        move(daemon.pod(), served.id, request.device)
    served.wish(request.device)
    daemon.save()
    return served


def drain(daemon: OasisDaemon, request: DrainDevice) -> None:
    """Empty a NIC of this host, and give it nothing more. TiermemError."""
    nic = find_nic(daemon, request.device)
    nic.is_draining = not request.undo
    daemon.save()


def find_nic(daemon: OasisDaemon, device: DeviceId) -> Nic:
    """One of this host's. ConfigError where it is another's, MissingError."""
    host = daemon.settings.host
    if device.host != host:
        raise ConfigError(
            f"device {id_text(device)}: is host {device.host}'s; this is host {host}: ask there"
        )
    for nic in daemon.net.nics:
        if nic.id == device:
            return nic
    raise MissingError(f"device {id_text(device)}: host {host} has {len(daemon.net.nics)} NICs")
