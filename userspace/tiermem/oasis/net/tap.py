"""An instance's interface: a TAP in its network namespace, with offloads.

The programs of the instance see a NIC; whoever has the file descriptor is what the NIC
is attached to. Checksums and segmentation go through as `struct virtio_net_hdr`, so the
real NIC does them, where it can.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import Field
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from tiermem.errors import (
    KernelError,
    MissingError,
    NameTakenError,
    NoRightError,
    TiermemError,
)
from tiermem.oasis.net.mac import mac_number
from tiermem.oasis.net.namespace import identity, inside
from tiermem.service.config import Settings

_DEVICE = Path("/dev/net/tun")
NAME_BYTES_MAX = 15

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNSETPERSIST = 0x400454CB
_TUNGETIFF = 0x800454D2
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_IFF_TUN_EXCL = 0x8000
_TUN_F_CSUM = 0x01
_TUN_F_TSO4 = 0x02
_TUN_F_TSO6 = 0x04
_TUN_F_TSO_ECN = 0x08
_REQUEST = struct.Struct("16sH22x")  # struct ifreq


class TapSettings(Settings):
    """namespace: of `ip netns`, or None for this one. mac: one given by an administrator."""

    name: str = Field(min_length=1, max_length=NAME_BYTES_MAX)
    mac: str
    namespace: str | None = None
    mtu: int = Field(default=1500, ge=576, le=9000)
    offloads: bool = True


class Tap:
    """The interface, which is there until `close`, or `remove` where it was made to
    `persist`; `descriptor` is for a `Frontend`."""

    def __init__(self, settings: TapSettings, *, is_taken_up: bool = False) -> None:
        """Make it, and set it up; MissingError, NoRightError, KernelError, or NameTakenError
        where the namespace has an interface of that name. is_taken_up: it may be there,
        persistent, and without a process."""
        self.settings = settings
        self.mac = mac_number(settings.mac)
        self._namespace = identity(settings.namespace)
        with contextlib.ExitStack() as undo, inside(settings.namespace):
            self.descriptor = _open_device()
            undo.callback(os.close, self.descriptor)
            _attach(self.descriptor, settings, 0 if is_taken_up else _IFF_TUN_EXCL)
            _set_up(settings)
            undo.pop_all()

    def persist(self) -> None:
        """From now on the interface stays, with its addresses and routes, when this process
        ends, and can be taken up by another. KernelError."""
        try:
            fcntl.ioctl(self.descriptor, _TUNSETPERSIST, 1)
        except OSError as error:
            action = f"make TAP {self.settings.name} persistent"
            raise KernelError(action, error.errno or 0) from None

    @property
    def is_there(self) -> bool:
        """False once the interface was deleted, or nobody else can reach its namespace: the
        name is gone, or another one's. This process alone keeps it then."""
        if identity(self.settings.namespace) != self._namespace:
            return False
        try:
            fcntl.ioctl(self.descriptor, _TUNGETIFF, bytes(_REQUEST.size))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """The interface goes, unless it is persistent. It must have been removed from its
        frontend."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """The interface goes, persistent or not."""
        with contextlib.suppress(OSError):  # it is gone already
            fcntl.ioctl(self.descriptor, _TUNSETPERSIST, 0)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _open_device() -> int:
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MissingError(f"{_DEVICE}: is not there; load the kernel module tun") from None
    except OSError as error:
        raise KernelError(f"open {_DEVICE}", error.errno or 0) from None


def _attach(descriptor: int, settings: TapSettings, more_flags: int) -> None:
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR | more_flags
    request = _REQUEST.pack(settings.name.encode(), flags)
    segments = _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 | _TUN_F_TSO_ECN
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, segments if settings.offloads else 0)
    except PermissionError:
        raise NoRightError(f"TAP {settings.name}: making it needs CAP_NET_ADMIN") from None
    except OSError as error:
        if error.errno == errno.EBUSY:
            where = f"namespace {settings.namespace}" if settings.namespace else "this namespace"
            raise NameTakenError(
                f"TAP {settings.name}: {where} has an interface of that name"
            ) from None
        raise KernelError(f"make TAP {settings.name}", error.errno or 0) from None


def _set_up(settings: TapSettings) -> None:
    try:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=settings.name)
            route.link("set", index=index, address=settings.mac, mtu=settings.mtu)
            route.link("set", index=index, state="up")
    except NetlinkError as error:
        raise TiermemError(f"TAP {settings.name}: cannot be set up: {error}") from None
