"""What people ask of oasisd: instances to be served, moved, and left; devices to be emptied.

For the control thread. What was answered is kept over a restart.
"""

from __future__ import annotations

import secrets
from concurrent.futures import Future
from typing import Literal

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
from tiermem.oasis.saved import SavedInstance, SavedVolume
from tiermem.oasis.settings import SSD_NUMBERS_AT
from tiermem.oasis.storage.served import Volume
from tiermem.oasis.storage.slice_table import ALIGN, Owner
from tiermem.oasis.storage.ssd import Ssd
from tiermem.oasis.storage.surroundings import new_slice_id
from tiermem.service.config import Settings, Size

_MADE_UP = 0x02 << 40  # locally administered, of one host


class AttachNic(Settings):
    """A new interface in a network namespace; mac: one is made up."""

    kind: Literal["nic"] = "nic"
    namespace: str = Field(min_length=1)
    name: str = Field(default="eth0", min_length=1, max_length=NAME_BYTES_MAX)
    mac: str | None = None
    mtu: int = Field(default=1500, ge=576, le=9000)
    expected: Bandwidth = Field(default=0, validate_default=False)


class AttachSsd(Settings):
    """A slice of an SSD as a block device. iops: that it is promised; io_timeout_s: how long a
    request may wait for the SSD before it fails, 0: for ever; None: as the config has it."""

    kind: Literal["ssd"]
    size: Size
    name: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,31}$")
    iops: int = Field(default=0, ge=0)
    io_timeout_s: float | None = Field(default=None, ge=0, le=86400)


class DetachInstance(Settings):
    """is_forced: also a block device that is in use, or whose SSD does not answer."""

    instance: str
    is_forced: bool = False


class ForgetSlice(Settings):
    """A slice of an SSD of this host; id: as `GET /v1/slices` has it."""

    device: DeviceName
    instance: DeviceName
    id: str = Field(pattern=r"^[0-9a-f]{1,16}$")


class MoveInstance(Settings):
    """device: None leaves it to the allocator again."""

    instance: str
    device: DeviceName | None


class DrainDevice(Settings):
    """undo: it may be given instances again."""

    device: DeviceName
    undo: bool = False


def attach(daemon: OasisDaemon, request: AttachNic | AttachSsd) -> Served | Volume:
    """Make what is asked for; which device serves it the pod decides next. TiermemError."""
    if isinstance(request, AttachSsd):
        return _attach_ssd(daemon, request)
    return _attach_nic(daemon, request)


def _attach_ssd(daemon: OasisDaemon, request: AttachSsd) -> Volume:
    timeout_s = request.io_timeout_s
    number = daemon.free_number()
    saved = SavedVolume(
        number=number,
        name=request.name or f"ssd{number}",
        bytes=-(-request.size // ALIGN) * ALIGN,
        id=new_slice_id(),
        expected_iops=request.iops,
        io_timeout_s=daemon.settings.io_timeout_s if timeout_s is None else timeout_s,
    )
    volume = daemon.storage.attach(saved)
    try:
        daemon.save()
    except TiermemError:
        del daemon.storage.served[number]
        raise
    volume.start()
    return volume


def _attach_nic(daemon: OasisDaemon, request: AttachNic) -> Served:
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
    number = daemon.free_number()
    served = daemon.net.attach(SavedInstance(number=number, tap=tap, expected_Bps=request.expected))
    try:
        # In this order, so that there is no interface which no daemon knows of.
        daemon.save()
        served.persist()
    except TiermemError:
        daemon.net.detach(served)
        raise
    return served


def detach(daemon: OasisDaemon, request: DetachInstance) -> Future[None]:
    """Take the interface or the block device away; done when it is gone. MissingError;
    TiermemError where it is in use."""
    found = daemon.find(request.instance)
    if isinstance(found, Volume):
        return found.detach(is_forced=request.is_forced)
    daemon.net.detach(found)
    daemon.save()
    done: Future[None] = Future()
    done.set_result(None)
    return done


def move_to(daemon: OasisDaemon, request: MoveInstance) -> Served:
    """Have an instance of this host on that device, and stay there. TiermemError where it
    cannot be, now."""
    served = daemon.find(request.instance)
    if isinstance(served, Volume):
        device = served.saved.device
        raise TiermemError(
            f"instance {served.saved.name}: its data is on SSD {id_text(device)} and does not "
            "move: attach another one and copy it"
            if device is not None
            else f"instance {served.saved.name}: has no SSD yet; the pod chooses one"
        )
    if request.device is not None:
        move(daemon.pod(), served.id, request.device)
    served.wish(request.device)
    daemon.save()
    return served


def drain(daemon: OasisDaemon, request: DrainDevice) -> int:
    """Empty a NIC of this host, and give it nothing more; of an SSD only the latter. How many
    slices stay on it. TiermemError."""
    device = find_device(daemon, request.device)
    device.is_draining = not request.undo
    daemon.save()
    return len(device.state.slices) if isinstance(device, Ssd) else 0


def forget_slice(daemon: OasisDaemon, request: ForgetSlice) -> Future[None]:
    """Have a slice of this host's SSD be nobody's: its instance is not to come back.
    TiermemError."""
    ssd = find_device(daemon, request.device)
    if not isinstance(ssd, Ssd):
        raise ConfigError(f"device {id_text(request.device)}: is a NIC, and has no slices")
    return daemon.storage.forget(ssd, Owner(*request.instance, int(request.id, 16)))


def find_device(daemon: OasisDaemon, device: DeviceId) -> Nic | Ssd:
    """One of this host's. ConfigError where it is another's, MissingError."""
    host = daemon.settings.host
    if device.host != host:
        raise ConfigError(
            f"device {id_text(device)}: is host {device.host}'s; this is host {host}: ask there"
        )
    if device.number >= SSD_NUMBERS_AT:
        return daemon.storage.find_ssd(device)
    for nic in daemon.net.nics:
        if nic.id == device:
            return nic
    raise MissingError(f"device {id_text(device)}: host {host} has {len(daemon.net.nics)} NICs")
