"""The namespaces that the net engine is measured in, on this machine.

`outside` is what instances talk to. A direct instance has a veth to it. Pooled ones, which
net_host serves, get there through the veth of `nic`, which is the host with the NIC; the
relayed one through that of `own_nic`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pyroute2 import NetNS, netns
from pyroute2.netlink.exceptions import NetlinkError
from tiermem.errors import KernelError, NoRightError
from tiermem.oasis.net.namespace import inside

NIC, INSTANCE_NIC = "nic0", "eth0"
PREFIX_BITS = 24
PORT = 5001


@dataclass(frozen=True)
class Site:
    """A namespace with an address, and the address of `outside` as it is seen from there, with
    the port that answers."""

    namespace: str
    address: str
    outside: str
    port: int = PORT


class NetWorld:
    """`outside`, `nic` and a direct instance; all of it goes with `stack`."""

    def __init__(self, stack: ExitStack) -> None:
        """NoRightError without root."""
        if os.geteuid():
            raise NoRightError("measure the net engine: namespaces and TAPs need root")
        self._stack = stack
        self.outside, self.nic = self.namespace("out"), self.namespace("nic")
        self.own_nic = self.namespace("own")
        self.relayed = Site(self.namespace("relay"), "10.8.2.2", "10.8.2.1")
        self.direct = Site(self.namespace("direct"), "10.8.0.2", "10.8.0.1")
        self._veth("out0", self.direct.outside, self.direct.namespace, INSTANCE_NIC)
        set_address(self.direct.namespace, INSTANCE_NIC, self.direct.address)
        self._veth("out1", "10.8.1.1", self.nic, NIC)
        self._veth("out2", self.relayed.outside, self.own_nic, NIC)

    def namespace(self, name: str) -> str:
        """A new one, with nothing in it that sends by itself."""
        full = f"tiermem-bench-{os.getpid()}-{name}"
        try:
            netns.create(full)
        except OSError as error:
            raise KernelError(f"make network namespace {full}", error.errno or 0) from None
        self._stack.callback(netns.remove, full)
        with inside(full):
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        return full

    def pooled(self, number: int) -> Site:
        """An instance's namespace, empty: its TAP is its frontend's to make."""
        return Site(self.namespace(f"i{number}"), f"10.8.1.{10 + number}", "10.8.1.1")

    def _veth(self, here: str, address: str, there: str, name: str) -> None:
        try:
            with NetNS(self.outside) as out:
                peer = {"ifname": name, "net_ns_fd": there}
                out.link("add", ifname=here, kind="veth", peer=peer)
        except NetlinkError as error:
            raise KernelError(f"make the veth {here}", error.code) from None
        set_address(self.outside, here, address)
        with NetNS(there) as inner:
            (index,) = inner.link_lookup(ifname=name)
            inner.link("set", index=index, state="up")


def set_address(namespace: str, interface: str, address: str) -> None:
    """Give it to an interface there, and bring that up."""
    with NetNS(namespace) as inner:
        (index,) = inner.link_lookup(ifname=interface)
        inner.addr("add", index=index, address=address, prefixlen=PREFIX_BITS)
        inner.link("set", index=index, state="up")
