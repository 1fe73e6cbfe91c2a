"""Host a has no NIC: what an instance there does by those of b and c, and what when they fail.

The hosts are emulated: how long something took here says nothing of how long it takes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from tiermem.testbed import Pod
from tiermem.testbed.guest_python import SOURCE

from tests.vm.cxlfork.services import PATIENCE_S, start
from tests.vm.oasis.three_hosts import (
    CLIENT_KEY,
    NIC_OF_B,
    NIC_OF_C,
    OUTSIDE,
    SERVED,
    TRAFFIC,
    ThreeHosts,
)
from tests.vm.oasis.traffic_log import TrafficLog

ETHERNET, NVME = "0x020000", "0x010802"
"""Classes of PCI devices."""


@pytest.fixture(scope="module")
def hosts(three_hosts: Pod) -> ThreeHosts:
    """An instance that b's NIC carries."""
    made = ThreeHosts(three_hosts)
    made.set_up()
    return made


@pytest.fixture(scope="module")
def traffic(hosts: ThreeHosts) -> TrafficLog:
    """By UDP and by one TCP connection, from here on."""
    return TrafficLog(hosts.a, "ip", "netns", "exec", "web", "python3", TRAFFIC, "ask", OUTSIDE)


def test_the_instance_s_host_has_no_nic_and_no_drive(hosts: ThreeHosts) -> None:
    classes = {
        guest.name: guest.check(["sh", "-c", "cat /sys/bus/pci/devices/*/class"]).stdout
        for guest in (hosts.a, hosts.b)
    }
    for device in (ETHERNET, NVME):
        assert device not in classes["a"]
        assert device in classes["b"]
    assert hosts.carrier() == NIC_OF_B


def test_ping(hosts: ThreeHosts) -> None:
    # It ends with the fifth answer, not some time after the last question.
    said = hosts.in_web("ping", "-c", "5", "-i", "0.2", "-w", "60", "-s", "1472", OUTSIDE)
    answered = [f"icmp_seq={number} " in said for number in range(1, 6)]
    assert all(answered), said


def test_curl(hosts: ThreeHosts) -> None:
    sums = hosts.in_web("sh", "-c", f"curl -sS http://{OUTSIDE}:8000/served | sha256sum")
    assert sums.split()[0] == hosts.c.check(["sha256sum", SERVED]).stdout.split()[0]


@pytest.mark.parametrize("way", [(), ("--reverse",)], ids=["there", "back"])
def test_iperf3(hosts: ThreeHosts, way: tuple[str, ...]) -> None:
    said = hosts.in_web("iperf3", "--client", OUTSIDE, "--bytes", "2M", "-w", "64K", "--json", *way)
    ended = json.loads(said)["end"]
    received = ended["sum_received"]
    print(f"\niperf3 {' '.join(way)}: {received['bits_per_second'] / 1e6:.0f} Mbit/s, emulated")
    assert ended["sum_sent"]["bytes"] >= 2 << 20
    # The other side counts until it is told of the end, not what comes later.
    assert received["bytes"] > 1 << 20


def test_ssh(hosts: ThreeHosts) -> None:
    data = hashlib.sha512(b"seed").digest() * 2000
    host_key = hosts.c.check(["cat", "/run/outside/host_key.pub"]).stdout
    hosts.a.check(["sh", "-c", "cat > /run/known"], stdin=f"{OUTSIDE} {host_key}".encode())
    options = ["-i", CLIENT_KEY, "-o", "UserKnownHostsFile=/run/known", "-o", "BatchMode=yes"]
    said = hosts.in_web("ssh", *options, f"root@{OUTSIDE}", "uname -n; sha256sum", stdin=data)
    assert said.split() == ["c", hashlib.sha256(data).hexdigest(), "-"]


def test_redis(hosts: ThreeHosts) -> None:
    assert hosts.in_web("redis-cli", "-h", OUTSIDE, "SET", "from", "a") == "OK\n"
    assert hosts.in_web("redis-cli", "-h", OUTSIDE, "GET", "from") == "a\n"
    load = ["-n", "300", "-c", "5", "-t", "set,get", "--csv"]
    lines = hosts.in_web("redis-benchmark", "-h", OUTSIDE, *load).splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ['"SET"', '"GET"']


def test_the_link_of_the_nic_in_use_goes_and_comes_back(
    hosts: ThreeHosts, traffic: TrafficLog
) -> None:
    """Nobody is moved back unasked. Who was asked to be on a NIC is."""
    goes_on(hosts, traffic, "link down", lambda: hosts.b.set_link(0, up=False), NIC_OF_C)
    hosts.b.set_link(0, up=True)
    hosts.wait_for(lambda: hosts.healthy() == {NIC_OF_B, NIC_OF_C})
    goes_on(hosts, traffic, "moved on request", lambda: hosts.move(NIC_OF_B), NIC_OF_B)


def test_the_daemon_of_the_nic_in_use_is_killed_and_comes_back(
    hosts: ThreeHosts, traffic: TrafficLog
) -> None:
    hosts.use_b()
    kill = ["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "tiermem-oasis"]
    goes_on(hosts, traffic, "daemon killed", lambda: hosts.b.check(kill), NIC_OF_C)
    goes_on(hosts, traffic, "daemon back", lambda: None, NIC_OF_B)


@pytest.mark.ends_a_host
def test_the_host_of_the_nic_and_of_the_drive_dies(hosts: ThreeHosts, traffic: TrafficLog) -> None:
    """Frames go by the backup at once. The drive is waited for, until its host has booted again,
    and has all that it said."""
    hosts.use_b()
    database = DatabaseOnTheDrive(hosts)
    goes_on(hosts, traffic, "host killed", hosts.kill_b, NIC_OF_C)
    hosts.pod.reboot("b")
    found = database.go_on_when_the_drive_is_back()
    assert found["failed"] == 0
    assert found["acknowledged"] >= found["before"] + 10
    traffic.wait_for_more()


class DatabaseOnTheDrive:
    """sqlite on a, which commits to b's drive for ever."""

    script = f"{SOURCE}/tests/vm/oasis/in_guest/drive_of_a_host_that_dies.py"

    def __init__(self, hosts: ThreeHosts) -> None:
        self._hosts = hosts
        self._folder = hosts.a.out_dir
        hosts.a.check(["modprobe", "-a", "ublk_drv", "ext4"])
        self._lend("drive-0")
        start(hosts.a, "use", "python3", self.script, "use", "/opt/tiermem/out")
        self._wait_for("commits")

    def _lend(self, link: str) -> None:
        self._hosts.b.check(["modprobe", "nvme"])
        start(self._hosts.b, link, "python3", self.script, "lend", link)

    def _wait_for(self, name: str) -> None:
        ended = "systemctl is-active --quiet use || { journalctl -n 50 -o cat -u use >&2; exit 1; }"
        file = f"/opt/tiermem/out/{name}"
        script = f"until test -e {file}; do {ended}; sleep 0.3; done"
        self._hosts.a.check(["sh", "-c", script], timeout_s=PATIENCE_S)

    def go_on_when_the_drive_is_back(self) -> Any:
        """What it has committed before and in all, once it is checked."""
        self._lend("drive-1")
        (self._folder / "again").touch()
        self._wait_for("done")
        return json.loads((self._folder / "done").read_text())


def goes_on(
    hosts: ThreeHosts, traffic: TrafficLog, what: str, happens: Callable[[], object], by: str
) -> None:
    """All that comes back after it has happened goes by that NIC, and on the same connection."""
    before = len(traffic.replies())
    happens()
    hosts.wait_for(lambda: hosts.carrier() == by)
    traffic.wait_for_more()
    gaps = ", ".join(f"{k} {s:.2f} s" for k, s in traffic.longest_gaps_s(before).items())
    print(f"\n{what}: longest gap between replies, in the emulated guest's time: {gaps}")
