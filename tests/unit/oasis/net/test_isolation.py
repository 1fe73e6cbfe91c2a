"""An instance has one address, sends with no other, and sees nobody else's frames."""

from __future__ import annotations

import pytest
from pyroute2 import NetNS
from tiermem.errors import TiermemError
from tiermem.oasis.net import Tap, TapSettings

from tests.unit.oasis.net.frames import EVERYBODY, ethernet, frames_seen, raw_socket, until
from tests.unit.oasis.net.world import NIC, READY_S, World, ping

MARKER = b"this is the marked one"
ELSEWHERE = 0x021111111111
ARP, TAGGED = 0x0806, 0x8100


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        (ELSEWHERE, 0x0800, "dropped_spoofed"),
        (None, ARP, "dropped_spoofed"),
        (None, TAGGED, "dropped_malformed"),
    ],
    ids=["source", "arp", "tag"],
)
def test_nothing_leaves_with_anothers_address(
    world: World, source: int | None, kind: int, reason: str
) -> None:
    host = world.host()
    instance = world.instance(host)
    frame = ethernet(EVERYBODY, source or instance.tap.mac, MARKER.ljust(40), kind)
    with (
        raw_socket(world.outside, "veth0") as outside,
        raw_socket(instance.namespace, "eth0") as inside_it,
    ):
        inside_it.send(frame)
        assert until(lambda: getattr(host.frontend.counters(), reason) == 1)
        assert frames_seen(outside, MARKER, wanted=0) == []


def test_a_frame_for_one_instance_is_seen_by_it_alone(world: World) -> None:
    hosts = [world.host(), world.host()]
    mine, same_host, other_host = (world.instance(hosts[at]) for at in (0, 0, 1))
    frame = ethernet(mine.tap.mac, ELSEWHERE, MARKER)
    with (
        raw_socket(world.outside, "veth0") as outside,
        raw_socket(mine.namespace, "eth0") as at_mine,
        raw_socket(same_host.namespace, "eth0") as at_same,
        raw_socket(other_host.namespace, "eth0") as at_other,
    ):
        outside.send(frame)
        assert frames_seen(at_mine, MARKER) == [frame]
        assert frames_seen(at_same, MARKER, wanted=0) == []
        assert frames_seen(at_other, MARKER, wanted=0) == []


def test_a_frame_for_everybody_is_seen_once_by_each(world: World) -> None:
    hosts = [world.host(), world.host()]
    instances = [world.instance(hosts[at]) for at in (0, 0, 1)]
    from_instance = ethernet(EVERYBODY, instances[0].tap.mac, MARKER)
    with (
        raw_socket(world.outside, "veth0") as outside,
        raw_socket(instances[0].namespace, "eth0") as first,
        raw_socket(instances[1].namespace, "eth0") as second,
        raw_socket(instances[2].namespace, "eth0") as third,
    ):
        first.send(from_instance)
        for socket in (outside, second, third):
            assert frames_seen(socket, MARKER) == [from_instance]
        assert frames_seen(first, MARKER, wanted=0) == []


def test_a_frame_between_instances_stays_behind_the_nic(world: World) -> None:
    host = world.host()
    one, two = world.instance(host), world.instance(host)
    frame = ethernet(two.tap.mac, one.tap.mac, MARKER)
    with (
        raw_socket(world.outside, "veth0") as outside,
        raw_socket(one.namespace, "eth0") as at_one,
        raw_socket(two.namespace, "eth0") as at_two,
    ):
        at_one.send(frame)
        assert frames_seen(at_two, MARKER) == [frame]
        assert frames_seen(outside, MARKER, wanted=0) == []


@pytest.mark.parametrize("same_host", [True, False])
def test_instances_reach_each_other(world: World, same_host: bool) -> None:
    host = world.host()
    one, two = world.instance(host), world.instance(host if same_host else world.host())
    ping(one.namespace, two.address)


def test_an_address_is_one_instances(world: World) -> None:
    first, second = world.host(), world.host()
    taken = world.instance(first).tap.settings.mac
    with pytest.raises(TiermemError, match="refuses its address"):
        world.instance(second, mac=taken)
    with pytest.raises(TiermemError, match="is served here already"):
        world.instance(first, mac=taken)


def test_no_instance_has_a_real_devices_address(world: World) -> None:
    with NetNS(world.backend_namespace) as back:
        (nic,) = back.get_links(ifname=NIC)
    for mac in (nic.get("address"), "00:16:3e:00:00:01"):
        with pytest.raises(TiermemError, match="refuses its address"):
            world.instance(world.host(), mac=mac)


def test_an_address_is_free_again_when_its_instance_is_gone(world: World) -> None:
    first, second = world.host(), world.host()
    settings = TapSettings(name="eth0", mac="02:00:00:00:aa:01", namespace=world.namespace())
    with Tap(settings) as tap:
        for frontend in (first.frontend, second.frontend, first.frontend):
            number = frontend.add(tap)
            frontend.wait_ready(number, READY_S)
            frontend.remove(number)
            assert until(lambda: frontend.state(number) == 0)  # noqa: B023


def test_tagged_frames_from_outside_are_nobodys(world: World) -> None:
    instance = world.instance(world.host())
    frame = ethernet(instance.tap.mac, ELSEWHERE, b"\0\7\x88\xb5" + MARKER, TAGGED)
    with (
        raw_socket(world.outside, "veth0") as outside,
        raw_socket(instance.namespace, "eth0") as at_instance,
    ):
        outside.send(frame)
        assert frames_seen(at_instance, MARKER, wanted=0) == []
