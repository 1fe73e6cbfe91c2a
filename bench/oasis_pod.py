"""A pod on this machine: a switch, two hosts with a NIC on it, one without, a daemon on each.

Hosts are processes over one pool in a file, their NICs ends of veths in namespaces of their
own, the switch a bridge, and `outside` its own address.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pyroute2 import NetNS, netns
from tiermem.errors import TiermemError, TimeoutExpiredError
from tiermem.layer.pool import create_pool
from tiermem.layer.pool.local import process_identity
from tiermem.oasis.net.namespace import inside
from tiermem.service.client import LocalClient

STARTER = "bench.oasis_starter"
OUTSIDE = "10.7.1.1"
INTERFACE = "eth0"
CONFIG = """\
socket = "{folder}/oasis{host}.sock"
state_file = "{folder}/oasis{host}.json"
pool = "{folder}/pool"
host = {host}
hosts = {hosts}
[link]
slots = 1024
tx_bytes = 1048576
rx_bytes = 1048576
"""
NIC = """\
[[nic]]
interface = "nic0"
namespace = "{namespace}"
capacity = "10Gbit"
backup = "{backup}/0"
"""


def until(is_so: Callable[[], Any], timeout_s: float = 20.0) -> Any:
    """The first true answer. TimeoutExpiredError where there is none in time."""
    deadline_s = time.monotonic() + timeout_s
    while not (answer := is_so()):
        if time.monotonic() > deadline_s:
            raise TimeoutExpiredError(f"not within {timeout_s:g} s what was waited for")
        time.sleep(0.01)
    return answer


@dataclass
class Daemon:
    """One that runs, or ran."""

    pid: int
    identity: int | None
    client: LocalClient

    def end(self, number: signal.Signals) -> None:
        """And wait until it has; where it did not before."""
        if not self.has_ended():
            os.kill(self.pid, number)
            until(self.has_ended)

    def end_with_its_host(self) -> None:
        """Nobody is left to say that it has ended. It has children: it runs."""
        beside = psutil.Process(self.pid).children()
        for process in beside:
            process.suspend()
        self.end(signal.SIGKILL)
        for process in beside:
            process.kill()

    def has_ended(self) -> bool:
        return self.identity is None or process_identity(self.pid) != self.identity


class Pod:
    """Hosts 0 and 1 have a NIC each, and are each other's backup.
    Host 2 has none: instances are there."""

    hosts = 3
    without_nic = 2

    def __init__(self, folder: Path, stack: contextlib.ExitStack, more: str = "") -> None:
        """more: lines of the hosts' configs."""
        self.folder, self._stack = folder, stack
        self._prefix = f"tiermem-{os.getpid()}-"
        self.switch = self.namespace("switch")
        with NetNS(self.switch) as switch:
            switch.link("add", ifname="br0", kind="bridge")
            (self._bridge,) = switch.link_lookup(ifname="br0")
            switch.addr("add", index=self._bridge, address=OUTSIDE, prefixlen=24)
            switch.link("set", index=self._bridge, state="up")
        create_pool(folder / "pool", hosts=self.hosts, entries=32, size=96 << 20)
        command = [sys.executable, "-m", STARTER]
        self._starter = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        )
        assert self._starter.stdin is not None
        stack.callback(self._starter.stdin.close)
        self.daemons: dict[int, Daemon] = {}
        for host in range(self.hosts):
            self._config(host).write_text(
                more
                + CONFIG.format(folder=folder, host=host, hosts=self.hosts)
                + ("" if host == self.without_nic else self._make_nic(host))
            )
            self.start(host)
        for daemon in self.daemons.values():
            until(lambda daemon=daemon: answers(daemon.client))

    def _config(self, host: int) -> Path:
        return self.folder / f"oasis{host}.toml"

    def _make_nic(self, host: int) -> str:
        namespace = self.namespace(f"nic{host}")
        with NetNS(self.switch) as switch, NetNS(namespace) as inner:
            peer = {"ifname": "nic0", "net_ns_fd": namespace}
            switch.link("add", ifname=f"port{host}", kind="veth", peer=peer)
            (port,) = switch.link_lookup(ifname=f"port{host}")
            switch.link("set", index=port, master=self._bridge, state="up")
            (nic,) = inner.link_lookup(ifname="nic0")
            inner.link("set", index=nic, state="up")
        return NIC.format(namespace=namespace, backup=1 - host)

    def namespace(self, name: str) -> str:
        """A new one, without IPv6."""
        full = f"{self._prefix}{name}"
        netns.create(full)
        self._stack.callback(netns.remove, full)
        with inside(full):
            Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        with NetNS(full) as inner:
            inner.link("set", index=1, state="up")
        return full

    def start(self, host: int) -> None:
        """That host's daemon, which does not answer yet."""
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._starter.stdin.write(f"{self._config(host)}\n".encode())
        pid = int(self._starter.stdout.readline())
        client = LocalClient(self.folder / f"oasis{host}.sock")
        self.daemons[host] = Daemon(pid, process_identity(pid), client)
        self._stack.callback(self.daemons[host].end, signal.SIGKILL)

    def set_port(self, host: int, state: str) -> None:
        """The switch's end of a NIC's cable: the NIC loses its link with it."""
        with NetNS(self.switch) as switch:
            (port,) = switch.link_lookup(ifname=f"port{host}")
            switch.link("set", index=port, state=state)

    def rename_nic(self, host: int, old: str, new: str) -> None:
        """For its daemon it is gone, or there again."""
        with NetNS(f"{self._prefix}nic{host}") as inner:
            (nic,) = inner.link_lookup(ifname=old)
            inner.link("set", index=nic, state="down")
            inner.link("set", index=nic, ifname=new)
            inner.link("set", index=nic, state="up")

    @property
    def client(self) -> LocalClient:
        """Of the daemon of the host of instances."""
        return self.daemons[self.without_nic].client

    def instance(self, name: str) -> Any:
        """As its host's daemon describes it."""
        return self.client.get("/v1/instance", {"name": name})

    def served_by(self, name: str) -> int | None:
        """The host whose NIC carries an instance; None: none, yet."""
        found = self.instance(name)
        return int(found["by"].split("/")[0]) if found["is_ready"] else None

    def healthy(self) -> set[str]:
        """The devices that are, as the host of instances sees them."""
        devices = self.client.get("/v1/ls")["devices"]
        return {one["device"] for one in devices if one["health"] == "healthy"}

    def attach(self, address: str) -> str:
        """An instance on the host without a NIC, with that address; its namespace, once it is
        served."""
        namespace = self.namespace("web")
        self.client.post("/v1/attach", {"namespace": namespace, "expected": "1Gbit"})
        with NetNS(namespace) as inner:
            (index,) = inner.link_lookup(ifname=INTERFACE)
            inner.addr("add", index=index, address=address, prefixlen=24)
        self.until(lambda: self.served_by(f"{namespace}/{INTERFACE}") is not None)
        return namespace

    def until(self, is_so: Callable[[], Any]) -> Any:
        """The first true answer; where there is none in time, what the daemons said."""
        try:
            return until(is_so)
        except TimeoutExpiredError as error:
            said = [f"host {host}:\n{self.log(host)[-2000:]}" for host in self.daemons]
            raise TimeoutExpiredError("\n".join([str(error), *said])) from None

    def log(self, host: int) -> str:
        """What its daemons have said."""
        return self._config(host).with_suffix(".log").read_text()


def answers(client: LocalClient) -> bool:
    try:
        client.get("/v1/status")
    except TiermemError:
        return False
    return True
