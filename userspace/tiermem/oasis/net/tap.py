"""An instance's interface: a TAP in its network namespace, with offloads.

The programs of the instance see a NIC; whoever has the file descriptor is what the NIC
is attached to. Checksums and segmentation go through as `struct virtio_net_hdr`, so the
real NIC does them, where it can.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import Field
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from tiermem.errors import KernelError, MissingError, NoRightError, TiermemError
from tiermem.oasis.net.mac import mac_number
from tiermem.oasis.net.namespace import inside
from tiermem.service.config import Settings

_DEVICE = Path("/dev/net/tun")
NAME_BYTES_MAX = 15

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_TUN_F_CSUM = 0x01
_TUN_F_TSO4 = 0x02
_TUN_F_TSO6 = 0x04
_TUN_F_TSO_ECN = 0x08


class TapSettings(Settings):
    """namespace: of `ip netns`, or None for this one. mac: one given by an administrator."""

    name: str = Field(min_length=1, max_length=NAME_BYTES_MAX)
    mac: str
    namespace: str | None = None
    mtu: int = Field(default=1500, ge=576, le=9000)
    offloads: bool = True


class Tap:
    """The interface, which is there until `close`; `descriptor` is for a `Frontend`."""

    def __init__(self, settings: TapSettings) -> None:
        """Make it, and set it up; MissingError, NoRightError or KernelError."""
        self.settings = settings
        self.mac = mac_number(settings.mac)
        with contextlib.ExitStack() as undo, inside(settings.namespace):
            self.descriptor = _open_device()
            undo.callback(os.close, self.descriptor)
            _attach(self.descriptor, settings)
            _set_up(settings)
            undo.pop_all()

    def close(self) -> None:
        """The interface goes. It must have been removed from its frontend."""
        os.close(self.descriptor)

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


def _attach(descriptor: int, settings: TapSettings) -> None:
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
    request = struct.pack("16sH22x", settings.name.encode(), flags)
    segments = _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 | _TUN_F_TSO_ECN
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, segments if settings.offloads else 0)
    except PermissionError:
        raise NoRightError(f"TAP {settings.name}: making it needs CAP_NET_ADMIN") from None
    except OSError as error:
        raise KernelError(f"make TAP {settings.name}", error.errno or 0) from None


def _set_up(settings: TapSettings) -> None:
    try:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=settings.name)
            route.link("set", index=index, address=settings.mac, mtu=settings.mtu)
            route.link("set", index=index, state="up")
    except NetlinkError as error:
        raise TiermemError(f"TAP {settings.name}: cannot be set up: {error}") from None
