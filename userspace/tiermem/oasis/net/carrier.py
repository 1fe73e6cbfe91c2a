"""Whether a NIC is there and has a link, told by the kernel as soon as it changes.

The kernel tells of a link that is lost at once, but of a real NIC's only once a second: one
that is lost, found and lost again within it is told of late.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from tiermem.oasis.net.namespace import inside

_LINK_EVENTS = 1  # RTMGRP_LINK
_UP, _LOWER_UP = 0x1, 0x10000  # IFF_…
_DATAGRAM_BYTES = 65536


@dataclass(frozen=True, slots=True)
class NicState:
    """index: in its namespace, another one when it was gone meanwhile; None: it is not there."""

    index: int | None = None
    is_up: bool = False


class Carrier:
    """Follows the interface of that name; for one thread. `descriptor` is readable when
    something may have changed, until `read`."""

    def __init__(self, name: str, namespace: str | None) -> None:
        """MissingError or KernelError where the namespace cannot be entered."""
        self._name, self._namespace = name, namespace
        self._marshal = MarshalRtnl()
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with inside(namespace):
            self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
            self._socket.bind((0, _LINK_EVENTS))
        self.descriptor = self._socket.fileno()
        self.state = self._ask()

    def read(self) -> NicState:
        """How it is now."""
        while True:
            try:
                data = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return self.state
            except OSError:
                # More came than there was room for: what was missed is asked for.
                self.state = self._ask()
                continue
            for message in self._marshal.parse(data):
                self._note(message)

    def _ask(self) -> NicState:
        with inside(self._namespace), IPRoute() as route:
            found = [one for one in route.get_links() if one.get("ifname") == self._name]
        return _state(found[0]) if found else NicState()

    def _note(self, message: Any) -> None:
        if message["family"] != socket.AF_UNSPEC:
            # Of what it is to a bridge, for one.
            return
        is_gone = message["event"] == "RTM_DELLINK"
        is_named = message.get("ifname") == self._name
        if is_named and not is_gone:
            self.state = _state(message)
        elif message["index"] == self.state.index:
            # It is gone, to another namespace perhaps, or has another name.
            self.state = NicState()

    def close(self) -> None:
        """Do not follow it any more."""
        self._socket.close()


def _state(message: Any) -> NicState:
    flags = message["flags"]
    return NicState(message["index"], bool(flags & _UP and flags & _LOWER_UP))
