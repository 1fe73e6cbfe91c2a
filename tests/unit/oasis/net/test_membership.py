"""A NIC lets the addresses of the instances behind it through, as long as they are there."""

from __future__ import annotations

from pyroute2 import NetNS

from tests.unit.oasis.net.frames import until
from tests.unit.oasis.net.world import NIC, World


def foreign_addresses(world: World) -> bool:
    """A veth has no list of addresses: with any but its own it lets everything through."""
    with NetNS(world.backend_namespace) as inner:
        (nic,) = inner.get_links(ifname=NIC)
    return int(nic.get("promiscuity")) > 0


def test_while_there_are_instances_and_no_longer(world: World) -> None:
    host = world.host()
    world.instance(host)
    assert until(lambda: foreign_addresses(world))
    world.instance(host)
    world.backend.remove_link(host.link)
    assert until(lambda: not foreign_addresses(world))
