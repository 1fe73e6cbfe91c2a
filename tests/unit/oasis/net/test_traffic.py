"""Unmodified programs of instances, through a NIC that their host has not got."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from pyroute2 import NetNS
from tiermem.oasis.net.namespace import inside

from tests.unit.oasis.net.frames import until
from tests.unit.oasis.net.world import NIC, World, ping, run, socket_in

SOAK_PACKETS = int(os.environ.get("TIERMEM_SOAK_PACKETS", "4000"))
"""How many the soak sends each way."""
BURST = 64
PORT = 5000
IFA_F_NODAD = 0x02
"""The address can be used at once: nobody is asked whether it is somebody else's."""


@pytest.mark.parametrize("payload_bytes", [0, 56, 1472])
def test_ping_both_ways(world: World, payload_bytes: int) -> None:
    instance = world.instance(world.host())
    options = ["-M", "do", "-s", str(payload_bytes)]
    ping(instance.namespace, world.outside_address, *options)
    ping(world.outside, instance.address, *options)


def test_fragments(world: World) -> None:
    instance = world.instance(world.host())
    ping(instance.namespace, world.outside_address, "-s", "20000")


def test_jumbo_frames(jumbo_world: World) -> None:
    instance = jumbo_world.instance(jumbo_world.host())
    ping(instance.namespace, jumbo_world.outside_address, "-M", "do", "-s", "8972")


def test_ipv6_finds_its_neighbours(world: World) -> None:
    """By multicast, whose frames go to everybody."""
    instance = world.instance(world.host())
    with world.ipv6(world.outside, instance.namespace):
        for namespace, interface, address in (
            (world.outside, "veth0", "fd00::1"),
            (instance.namespace, "eth0", "fd00::2"),
        ):
            with NetNS(namespace) as there:
                (index,) = there.link_lookup(ifname=interface)
                there.addr("add", index=index, address=address, prefixlen=64, flags=IFA_F_NODAD)
        ping(instance.namespace, "fd00::1")
        ping(world.outside, "fd00::2")


@pytest.mark.parametrize("from_instance", [True, False], ids=["out", "in"])
def test_tcp_carries_every_byte(world: World, from_instance: bool) -> None:
    instance = world.instance(world.host())
    ends = [
        (instance.namespace, instance.address),
        (world.outside, world.outside_address),
    ]
    (source, _), (sink, address) = ends if from_instance else ends[::-1]
    data = random.Random(1).randbytes(32 << 20)
    assert received_by_tcp(source, sink, address, data) == hashlib.sha256(data).hexdigest()


def received_by_tcp(source: str, sink: str, address: str, data: bytes) -> str:
    """SHA-256 of what arrives."""
    digest = hashlib.sha256()
    with (
        socket_in(sink, socket.SOCK_STREAM) as listener,
        socket_in(source, socket.SOCK_STREAM) as sender,
    ):
        listener.bind((address, PORT))
        listener.listen()
        sender.connect((address, PORT))
        accepted, _ = listener.accept()

        def send() -> None:
            sender.sendall(data)
            sender.shutdown(socket.SHUT_WR)

        with accepted:
            sending = threading.Thread(target=send)
            sending.start()
            while part := accepted.recv(1 << 20):
                digest.update(part)
            sending.join()
    return digest.hexdigest()


def test_segments_go_through_whole(world: World) -> None:
    """The kernel cuts TCP for the wire at the NIC, not before it."""
    host = world.host()
    instance = world.instance(host)
    received_by_tcp(instance.namespace, world.outside, world.outside_address, bytes(8 << 20))
    counters = world.backend.counters(host.link)
    assert counters.tx_bytes / counters.tx_frames > 4 * world.mtu


TCP, UDP = ["-n", "32M"], ["-u", "-n", "100K", "-b", "5M"]


@pytest.mark.parametrize("way", [TCP, [*TCP, "-R"], UDP], ids=["out", "in", "udp"])
def test_iperf3(world: World, way: list[str]) -> None:
    instance = world.instance(world.host())
    listen = ["iperf3", "-s", "--forceflush"]
    with inside(world.outside):
        server = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        while "listening" not in server.stdout.readline():
            pass
        command = ["iperf3", "-J", "-c", world.outside_address, *way]
        report = json.loads(run(instance.namespace, command).stdout)
    finally:
        server.kill()
        server.communicate()
    if way == UDP:
        assert report["end"]["sum"]["packets"] > 50
        assert report["end"]["sum"]["lost_packets"] == 0
    else:
        assert report["end"]["sum_received"]["bytes"] > 24 << 20


def test_curl(world: World, tmp_path: Path) -> None:
    instance = world.instance(world.host())
    served = tmp_path / "served"
    served.mkdir()
    (served / "file").write_bytes(random.Random(2).randbytes(3 << 20))
    command = ["python3", "-m", "http.server", "--bind", world.outside_address, "8000"]
    with inside(world.outside):
        server = subprocess.Popen(command, cwd=served, stderr=subprocess.DEVNULL)
    try:
        url = f"http://{world.outside_address}:8000/file"
        got = tmp_path / "got"
        fetch = ["curl", "-sf", "--retry", "20", "--retry-delay", "1", "--retry-connrefused"]
        run(instance.namespace, [*fetch, "-o", str(got), url])
    finally:
        server.kill()
        server.wait()
    assert got.read_bytes() == (served / "file").read_bytes()


def test_a_nic_that_was_down_serves_on(world: World) -> None:
    host = world.host()
    instance = world.instance(host)
    with NetNS(world.backend_namespace) as back, socket_in(instance.namespace) as sender:
        ping(instance.namespace, world.outside_address)
        (nic,) = back.link_lookup(ifname=NIC)
        back.link("set", index=nic, state="down")
        sender.sendto(b"lost", (world.outside_address, PORT))
        assert until(lambda: world.backend.counters(host.link).dropped_by_device > 0)
        back.link("set", index=nic, state="up")
    ping(instance.namespace, world.outside_address)


def test_soak_loses_no_packet(world: World) -> None:
    """Bursts of numbered packets of all sizes, echoed by `outside`, TIERMEM_SOAK_PACKETS."""
    host = world.host()
    instance = world.instance(host)
    sizes = itertools.cycle([4, 64, 512, 1000, 1472])
    with socket_in(world.outside) as echo, socket_in(instance.namespace) as sender:
        echo.bind((world.outside_address, PORT))
        sender.connect((world.outside_address, PORT))
        stop = threading.Event()
        echoing = threading.Thread(target=echo_until, args=(echo, stop))
        echoing.start()
        try:
            for first in range(0, SOAK_PACKETS, BURST):
                burst = range(first, min(first + BURST, SOAK_PACKETS))
                for number in burst:
                    sender.send(number.to_bytes(4, "big").ljust(next(sizes), b"\0"))
                came = [int.from_bytes(sender.recv(2048)[:4], "big") for _ in burst]
                # A veth has a queue for each processor: what is sent by a thread, or a
                # program, that moves to another may overtake.
                assert sorted(came) == list(burst)
        finally:
            stop.set()
            echoing.join()
    counters = host.frontend.counters()
    assert counters.rx_frames >= SOAK_PACKETS
    assert counters.dropped_by_device == counters.dropped_no_room == 0


def echo_until(echo: socket.socket, stop: threading.Event) -> None:
    echo.settimeout(0.1)
    while not stop.is_set():
        try:
            data, sender = echo.recvfrom(2048)
        except TimeoutError:
            continue
        echo.sendto(data, sender)
