"""Hosts and a network of this machine's own: namespaces, a veth, links over files.

An *instance* is a namespace with a TAP of a frontend. The backend has its NIC, one end of
a veth, in a namespace of its own; the other end is in `outside`. All are in 10.7.0.0/24.
Namespaces outlast a test, since they take their time; interfaces in them do not.
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
from tiermem.errors import TiermemError
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
IPV6_OFF = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
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


class Network:
    """`outside` and a backend's NIC, and namespaces for instances: what tests share."""

    outside_address = "10.7.0.1"

    def __init__(self, stack: contextlib.ExitStack, *, mtu: int) -> None:
        self.stack, self.mtu = stack, mtu
        self.names = itertools.count(1)
        self.free: list[str] = []
        self.outside, self.backend_namespace = self.namespace(), self.namespace()
        with NetNS(self.outside) as out, NetNS(self.backend_namespace) as back:
            peer = {"ifname": NIC, "net_ns_fd": self.backend_namespace}
            out.link("add", ifname="veth0", kind="veth", peer=peer, mtu=mtu)
            (index,) = out.link_lookup(ifname="veth0")
            out.addr("add", index=index, address=self.outside_address, prefixlen=24)
            out.link("set", index=index, state="up")
            (nic,) = back.link_lookup(ifname=NIC)
            back.link("set", index=nic, state="up", mtu=mtu)

    def namespace(self) -> str:
        """One that nobody uses. Without IPv6, whose messages would be among those that a
        test counts."""
        if self.free:
            return self.free.pop()
        full = f"tiermem-{os.getpid()}-{self.mtu}-{next(self.names)}"
        netns.create(full)
        self.stack.callback(netns.remove, full)
        with inside(full):
            IPV6_OFF.write_text("1")
        with NetNS(full) as inner:
            inner.link("set", index=1, state="up")
        return full


class World:
    """A backend on a network, and hosts as they are added; all of it goes with `stack`."""

    def __init__(self, network: Network, folder: Path, stack: contextlib.ExitStack) -> None:
        self.network, self.folder, self.stack, self.mtu = network, folder, stack, network.mtu
        # What is to be there until all of the rest is gone.
        self.under = stack.enter_context(contextlib.ExitStack())
        self.numbers = itertools.count(1)
        self.outside, self.outside_address = network.outside, network.outside_address
        self.backend_namespace = network.backend_namespace
        settings = BackendSettings(nic=NIC, namespace=self.backend_namespace, pace=PACE)
        self.backend = stack.enter_context(Backend(settings))

    def namespace(self) -> str:
        """One that is this test's until its end."""
        taken = self.network.namespace()
        self.stack.callback(self.network.free.append, taken)
        return taken

    @contextlib.contextmanager
    def ipv6(self, *namespaces: str) -> Iterator[None]:
        """Those have it meanwhile."""
        with contextlib.ExitStack() as undo:
            for namespace in namespaces:
                set_ipv6_off(namespace, "0")
                undo.callback(set_ipv6_off, namespace, "1")
            yield

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
        namespace = self.namespace()
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
        self.stack.callback(remove_if_there, host.frontend, served)
        host.frontend.wait_ready(served, READY_S)
        made = Instance(namespace, address, tap, served)
        host.instances.append(made)
        return made


def remove_if_there(frontend: Frontend, number: int) -> None:
    """A test may have removed it."""
    with contextlib.suppress(TiermemError):
        frontend.remove(number)


def set_ipv6_off(namespace: str, value: str) -> None:
    with inside(namespace):
        IPV6_OFF.write_text(value)


def run(namespace: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A program in a namespace; it must succeed."""
    with inside(namespace):
        return subprocess.run(command, check=True, capture_output=True, text=True)


def ping(namespace: str, address: str, *options: str) -> None:
    """Three answers come, if some of them late: on a busy machine, ping takes what comes after
    two round trips for lost (loss is the soak's to find)."""
    run(namespace, ["ping", "-c", "3", "-i", "0.01", "-w", "10", *options, address])


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
