"""Hosts and a network of this machine's own: namespaces, a veth, links over files.

An *instance* is a namespace with a TAP of a frontend. The backend has its NIC, one end of
a veth, in a namespace of its own; the other end is in `outside`. All are in 10.7.0.0/24.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyroute2 import NetNS, netns
from tiermem.native._net import ffi
from tiermem.oasis.net import (
    Backend,
    BackendSettings,
    Frontend,
    LinkSize,
    Memory,
    Pace,
    Tap,
    TapSettings,
    make_link,
)
from tiermem.oasis.net.namespace import inside

GENERATION = 1
NIC = "nic0"
READY_S = 5.0
SO_RCVBUFFORCE = 33
PACE = Pace(sleep_max_us=200)
SIZE = LinkSize(tx_bytes=1 << 20, rx_bytes=1 << 20)


class FileMemory:
    """A file, mapped once more for each side that opens it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.buffer = mmap.mmap(file.fileno(), 0)
        self.bytes = len(self.buffer)
        self.address = int(ffi.cast("uintptr_t", ffi.from_buffer(self.buffer)))


@dataclass
class Instance:
    """A namespace with an interface of a frontend."""

    namespace: str
    address: str
    tap: Tap
    number: int


@dataclass
class Host:
    """A frontend, its link and its instances."""

    frontend: Frontend
    link: int
    file: Path | None = None
    instances: list[Instance] = field(default_factory=list)


class World:
    """`outside` and a backend, and hosts as they are added; all of it goes with `stack`."""

    outside_address = "10.7.0.1"

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, mtu: int = 1500) -> None:
        self.folder, self.stack, self.mtu = folder, stack, mtu
        # What is to be there until all of the rest is gone.
        self.under = stack.enter_context(contextlib.ExitStack())
        self.numbers = itertools.count(1)
        self.outside = self.namespace("out")
        self.backend_namespace = self.namespace("nic")
        with NetNS(self.outside) as out, NetNS(self.backend_namespace) as back:
            peer = {"ifname": NIC, "net_ns_fd": self.backend_namespace}
            out.link("add", ifname="veth0", kind="veth", peer=peer, mtu=mtu)
            (index,) = out.link_lookup(ifname="veth0")
            out.addr("add", index=index, address=self.outside_address, prefixlen=24)
            out.link("set", index=index, state="up")
            (nic,) = back.link_lookup(ifname=NIC)
            back.link("set", index=nic, state="up", mtu=mtu)
        settings = BackendSettings(nic=NIC, namespace=self.backend_namespace, pace=PACE)
        self.backend = stack.enter_context(Backend(settings))

    def namespace(self, name: str) -> str:
        """A new one. Without IPv6, whose messages would be among those that a test counts."""
        full = f"tiermem-{os.getpid()}-{name}"
        netns.create(full)
        self.stack.callback(netns.remove, full)
        with inside(full):
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        with NetNS(full) as inner:
            inner.link("set", index=1, state="up")
        return full

    def host(self, size: LinkSize = SIZE) -> Host:
        """A host with a link to the backend, and no instances."""
        path = self.folder / f"link{next(self.numbers)}"
        path.write_bytes(bytes(size.bytes))
        here, there = FileMemory(path), FileMemory(path)
        make_link(there, size, GENERATION)
        host = self.host_over(here, there, GENERATION)
        host.file = path
        return host

    def host_over(self, here: Memory, there: Memory, generation: int) -> Host:
        """The same, over a link that was made; `there` is as the backend's host has it."""
        link = self.backend.add_link(there, generation)
        frontend = self.stack.enter_context(Frontend(here, generation, PACE))
        return Host(frontend, link)

    def instance(self, host: Host, *, mac: str | None = None) -> Instance:
        """An instance of that host, ready."""
        number = next(self.numbers)
        namespace = self.namespace(f"i{number}")
        settings = TapSettings(
            name="eth0",
            mac=mac or f"02:00:00:00:00:{number:02x}",
            namespace=namespace,
            mtu=self.mtu,
        )
        tap = self.stack.enter_context(Tap(settings))
        address = f"10.7.0.{10 + number}"
        with NetNS(namespace) as inner:
            (index,) = inner.link_lookup(ifname="eth0")
            inner.addr("add", index=index, address=address, prefixlen=24)
        served = host.frontend.add(tap)
        self.stack.callback(host.frontend.remove, served)
        host.frontend.wait_ready(served, READY_S)
        made = Instance(namespace, address, tap, served)
        host.instances.append(made)
        return made


def run(namespace: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A program in a namespace; it must succeed."""
    with inside(namespace):
        return subprocess.run(command, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def socket_in(namespace: str, kind: int = socket.SOCK_DGRAM) -> Iterator[socket.socket]:
    """An IPv4 socket of that namespace."""
    with inside(namespace):
        made = socket.socket(socket.AF_INET, kind)
    with made:
        made.settimeout(10)
        # A receiver that waits for a processor is not to look like a network that loses.
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
        yield made
