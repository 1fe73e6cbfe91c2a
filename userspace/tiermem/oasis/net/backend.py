"""The side of the NIC, with a link to each frontend."""

from __future__ import annotations

import errno
import socket
from types import TracebackType
from typing import Self

from pydantic import Field
from pyroute2 import IPRoute

from tiermem.errors import KernelError, MissingError, NoRightError, NoSpaceError, TiermemError
from tiermem.native._net import ffi, lib
from tiermem.oasis.net.counters import Counters, counters_of
from tiermem.oasis.net.link import Memory
from tiermem.oasis.net.mac import mac_number
from tiermem.oasis.net.namespace import inside
from tiermem.oasis.net.pace import Pace, native_pace
from tiermem.oasis.net.tap import NAME_BYTES_MAX
from tiermem.service.config import Settings


class BackendSettings(Settings):
    """nic: the interface; namespace: where it is, None for here."""

    nic: str = Field(min_length=1, max_length=NAME_BYTES_MAX)
    namespace: str | None = None
    pace: Pace = Pace()


class Backend:
    """A thread that carries frames between a NIC and links, until `close`."""

    def __init__(self, settings: BackendSettings) -> None:
        """Start, with no links. MissingError without such a NIC, KernelError without a thread."""
        self.settings = settings
        self._memories: dict[int, Memory] = {}
        with inside(settings.namespace):
            index, mac = _find_nic(settings.nic)
        self._native = lib.net_backend_create(index, mac, native_pace(settings.pace))
        if self._native == ffi.NULL:
            raise KernelError("make a backend", errno.ENOMEM)
        error = lib.net_backend_start(self._native)
        if error:
            lib.net_backend_destroy(self._native)
            raise KernelError("start the backend's thread", error)

    def add_link(self, memory: Memory, generation: int) -> int:
        """Serve the frontend of that link; the link's number.

        MissingError where there is none of that generation, NoRightError without
        CAP_NET_RAW and CAP_NET_ADMIN, NoSpaceError with too many, KernelError.
        """
        base = ffi.cast("void *", memory.address)
        with inside(self.settings.namespace):
            number = int(lib.net_backend_add_link(self._native, base, memory.bytes, generation))
            error = ffi.errno
        if number >= 0:
            self._memories[number] = memory
            return number
        if error == errno.ENOENT:
            raise MissingError(f"no link of generation {generation}: it has to be made first")
        if error == errno.ENOSPC:
            raise NoSpaceError(f"NIC {self.settings.nic}: has {lib.NET_LINKS} links already")
        if error == errno.EPERM:
            raise NoRightError("a raw socket needs CAP_NET_RAW and CAP_NET_ADMIN")
        raise KernelError(f"open a raw socket on NIC {self.settings.nic}", error)

    def set_nic(self, *, is_down: bool) -> None:
        """Tell the frontends at once whether the NIC can carry anything."""
        lib.net_backend_set_nic(self._native, is_down)

    def remove_link(self, number: int) -> None:
        """Its instances are not served any longer, and its memory may be unmapped."""
        if lib.net_backend_remove_link(self._native, number) < 0:
            raise TiermemError(f"link {number}: there is none of that number")
        del self._memories[number]

    def counters(self, number: int) -> Counters:
        """Of a link, since it was added."""
        return counters_of(lib.net_backend_counters(self._native, number))

    def close(self) -> None:
        """Stop, and leave all links."""
        lib.net_backend_destroy(self._native)
        self._memories.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _find_nic(name: str) -> tuple[int, int]:
    """Its index and its own address, in this thread's network namespace."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        raise MissingError(f"NIC {name}: there is no such interface") from None
    with IPRoute() as route:
        (found,) = route.get_links(index)
    return index, mac_number(found.get("address"))
