"""Round trips over a pooled NIC and a direct one in the testbed, emulated: not comparable with
hardware.

Three guests share CXL memory. The instance is on a, once behind a NIC of a's own and once
behind b's, by the pool. The outside is a second NIC of b, so that two hosts take part, or a NIC
of c, so that three do. All time is what emulated processors take, by the clock on the wall.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from tiermem.testbed import Guest, Pod, boot, load_topology
from tiermem.testbed.guest_python import SOURCE, python_environment

from bench.guest.round_trips import PERCENTILES, GuestTrips, Spec, from_json
from bench.net_load import Outside
from bench.oasis_net import PACKETS
from bench.session import ask

DIRECT, POOLED = "direct", "pooled"
ROUNDS, COUNT, WARM_UP = 3, 100, 10
OUTSIDES = {"two": "10.79.0.2", "three": "10.79.0.3"}
NOTE = "Emulated (TCG), by the guests' wall clock: not comparable with hardware."
_PATIENCE_S = 600.0
_ENVIRONMENT = python_environment(SOURCE)
# Emulated hosts on a busy machine stand still for longer than real ones that live.
_CONFIG = """\
hosts = 2
host = {host}
silence_ms = 10000
look_ms = 100
lease_s = 60
"""
_NIC = """\
[[nic]]
interface = "eth0"
capacity = "10Gbit"
"""
_IN_NAMESPACE = """
ip netns add {namespace}
ip link set {interface} netns {namespace}
ip -n {namespace} addr add {address}/24 dev {interface}
ip -n {namespace} link set {interface} up
"""
_ATTACH = """
modprobe tun
ip netns add web
tiermem oasis attach --nic --namespace web --wait 300
ip -n web addr add 10.79.0.11/24 dev eth0
"""


def measure(advance: Callable[[str], None]) -> list[GuestTrips]:
    """Every way in turns. TiermemError where the pod does not come up or an answer not back."""
    advance("testbed: boot three guests")
    with (
        tempfile.TemporaryDirectory() as folder,
        boot(load_topology("three-hosts", nics=2), kernel="lts", out_dir=Path(folder)) as pod,
    ):
        advance("testbed: daemons")
        _set_up(pod)
        advance("testbed: round trips")
        namespaces = {DIRECT: "direct", POOLED: "web"}
        spec = Spec(namespaces, OUTSIDES, PACKETS, ROUNDS, COUNT, WARM_UP)
        a = pod["a"]
        found = ask(
            a,
            a.out_dir,
            "round_trips",
            json.dumps(asdict(spec)),
            name="round-trips",
            env=_ENVIRONMENT,
            timeout_s=_PATIENCE_S,
        )
    return from_json(found)


def _set_up(pod: Pod) -> None:
    a, b, c = (pod[name] for name in "abc")
    create = "tiermem pool create /dev/dax0.0 --hosts 2 --lease 60 --force"
    a.check(create.split(), timeout_s=300)
    _into_namespace(a, "eth0", "direct", "10.79.0.10")
    for guest, interface, address in zip((b, c), ("eth1", "eth0"), OUTSIDES.values(), strict=True):
        _into_namespace(guest, interface, "outside", address)
        given = json.dumps(asdict(Outside("outside", 0)))
        # It ends when its input does.
        answer = f"sleep infinity | python3 -m bench.net_load '{given}'"
        _start(guest, "outside", "sh", "-c", answer)
    b.check(["ip", "link", "set", "eth0", "up"])
    _start_daemon(a, _CONFIG.format(host=0))
    _start_daemon(b, _CONFIG.format(host=1) + _NIC)
    ready = "until test -S /run/tiermem/oasis.sock; do sleep 0.3; done"
    a.check(["sh", "-c", ready], timeout_s=_PATIENCE_S)
    a.check(["sh", "-ec", _ATTACH], timeout_s=_PATIENCE_S)


def _into_namespace(guest: Guest, interface: str, namespace: str, address: str) -> None:
    script = _IN_NAMESPACE.format(interface=interface, namespace=namespace, address=address)
    guest.check(["sh", "-ec", script])


def _start_daemon(guest: Guest, config: str) -> None:
    folders = "mkdir -p /etc/tiermem /run/tiermem /var/lib/tiermem; cat > /etc/tiermem/oasis.toml"
    guest.check(["sh", "-ec", folders], stdin=config.encode())
    _start(guest, "oasis", "tiermem", "oasis", "run")


def _start(guest: Guest, unit: str, *command: str) -> None:
    variables = [f"--setenv={key}={value}" for key, value in _ENVIRONMENT.items()]
    guest.check(["systemd-run", "--quiet", f"--unit={unit}", *variables, *command], timeout_s=120)


def at(
    trips: Sequence[GuestTrips], way: str, hosts: str, packet_bytes: int, percentile: int
) -> list[float]:
    """Microseconds, of each round in turn."""
    return [
        one.percentiles_us[percentile]
        for one in sorted(trips, key=lambda one: one.round)
        if (one.way, one.hosts, one.packet_bytes) == (way, hosts, packet_bytes)
    ]


def added_us(trips: Sequence[GuestTrips], hosts: str, packet_bytes: int, percentile: int) -> float:
    """Pooled over direct in the same round, the median over rounds."""
    ways = (at(trips, way, hosts, packet_bytes, percentile) for way in (POOLED, DIRECT))
    return statistics.median(pooled - direct for pooled, direct in zip(*ways, strict=True))


def figures(trips: Sequence[GuestTrips]) -> dict[str, float]:
    """Of the size of packets for which most is added."""
    return {
        f"emulated_added_us_p50_{hosts}_hosts": max(
            added_us(trips, hosts, size, 50) for size in PACKETS
        )
        for hosts in OUTSIDES
    }


def table(trips: Sequence[GuestTrips]) -> Table:
    """The direct round trip, and what the pooled one adds to it."""
    found = Table(title="Round trips of UDP in the testbed (µs)", caption=NOTE)
    for column in ("hosts", "packet"):
        found.add_column(column)
    for name in (DIRECT, f"{POOLED} adds"):
        for percentile in PERCENTILES:
            found.add_column(f"{name} p{percentile}", justify="right")
    for hosts in OUTSIDES:
        for size in PACKETS:
            direct = [
                f"{statistics.median(at(trips, DIRECT, hosts, size, one)):.0f}"
                for one in PERCENTILES
            ]
            added = [f"{added_us(trips, hosts, size, one):+.0f}" for one in PERCENTILES]
            found.add_row(hosts, f"{size} B", *direct, *added)
    return found
