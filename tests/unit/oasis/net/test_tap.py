"""An instance's interface goes with its process, or stays for the next one, as it was told."""

from __future__ import annotations

import pytest
from pyroute2 import NetNS, netns
from tiermem.errors import MissingError, NameTakenError
from tiermem.oasis.net import Tap, TapSettings

from tests.unit.oasis.net.world import World

MAC = "02:00:00:00:00:77"


def interfaces(namespace: str) -> set[str]:
    with NetNS(namespace) as inner:
        return {one.get("ifname") for one in inner.get_links()} - {"lo"}


def addresses(namespace: str) -> list[str]:
    with NetNS(namespace) as inner:
        (index,) = inner.link_lookup(ifname="eth0")
        return [one.get("address") for one in inner.get_addr(index=index)]


def test_a_persistent_one_is_taken_up_with_its_addresses(world: World) -> None:
    settings = TapSettings(name="eth0", mac=MAC, namespace=world.outside)
    tap = Tap(settings)
    tap.persist()
    with NetNS(world.outside) as inner:
        (index,) = inner.link_lookup(ifname="eth0")
        inner.addr("add", index=index, address="10.8.0.1", prefixlen=24)
    tap.close()
    assert "eth0" in interfaces(world.outside)
    with pytest.raises(NameTakenError, match="has an interface of that name"):
        Tap(settings)
    again = Tap(settings, is_taken_up=True)
    assert addresses(world.outside) == ["10.8.0.1"]
    again.remove()
    assert "eth0" not in interfaces(world.outside)


def test_another_one_goes_with_whoever_made_it(world: World) -> None:
    with Tap(TapSettings(name="eth0", mac=MAC, namespace=world.outside)) as tap:
        assert tap.is_there
        assert "eth0" in interfaces(world.outside)
    assert "eth0" not in interfaces(world.outside)


def test_it_is_not_there_any_more_once_its_namespace_is_gone(world: World) -> None:
    name = f"{world.outside}-short"
    netns.create(name)
    with Tap(TapSettings(name="eth0", mac=MAC, namespace=name)) as tap:
        netns.remove(name)
        assert not tap.is_there
        with pytest.raises(MissingError, match="no such network namespace"):
            Tap(tap.settings)
