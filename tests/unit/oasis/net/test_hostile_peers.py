"""Whatever the other side writes, the engine lives on, and serves whom it served."""

from __future__ import annotations

import random
import threading

import pytest
from tiermem.errors import MissingError
from tiermem.native._net import lib
from tiermem.oasis.net import Frontend, LinkSize, make_link

from tests.unit.oasis.net.frames import (
    EVERYBODY,
    NO_OFFLOADS,
    ethernet,
    frames_seen,
    raw_socket,
    until,
)
from tests.unit.oasis.net.hostile import HostileFrontend
from tests.unit.oasis.net.world import GENERATION, FileMemory, World, ping

MARKER = b"this is the marked one"
SIZE = LinkSize(slots=256, tx_bytes=1 << 20, rx_bytes=1 << 20)
MAC, OTHER_MAC = 0x020000000001, 0x020000000002
ROUNDS_OF_JUNK = 40


class Siege:
    """A backend with an honest host beside the hostile one."""

    def __init__(self, world: World) -> None:
        self.world = world
        path = world.folder / "hostile"
        path.write_bytes(bytes(SIZE.bytes))
        here, there = FileMemory(path), FileMemory(path)
        make_link(there, SIZE, GENERATION)
        self.link = world.backend.add_link(there, GENERATION)
        self.hostile = HostileFrontend(here, SIZE.tx_bytes, SIZE.rx_bytes)
        self.honest = world.instance(world.host())

    def refused(self) -> int:
        return world_refused(self.world, self.link)

    def assert_alive(self) -> None:
        ping(self.honest.namespace, self.world.outside_address)


def world_refused(world: World, link: int) -> int:
    return world.backend.counters(link).refused_messages


@pytest.fixture
def siege(world: World) -> Siege:
    return Siege(world)


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 0),
        (0, 23),
        (0, lib.NET_FRAME_BYTES_MAX + 1),
        (1, 64),
        (SIZE.tx_bytes - 64, 65),
        (SIZE.tx_bytes, 64),
        (2**32 - 64, 64),
        (2**32 - 64, 2**32 - 1),
    ],
)
def test_a_frame_out_of_bounds_is_refused(siege: Siege, offset: int, length: int) -> None:
    siege.hostile.add(0, MAC)
    siege.hostile.say_message(lib.net_message_of_frame(lib.NET_SEND, 0, offset, length))
    assert until(lambda: siege.refused() == 1)
    siege.assert_alive()


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (MAC, lib.NET_ADD | lib.NET_INSTANCES << 8),
        (MAC, lib.NET_REMOVE),
        (64 << 32, lib.NET_RETURN),
        (64 << 32, lib.NET_SEND | 0xFFFF << 8),
        (0, lib.NET_FRAME),
        (0, lib.NET_SENT),
        (0, 0),
        (0, 0xFF),
        (MAC, lib.NET_ADD | 1 << 24),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(siege: Siege, place: int, what: int) -> None:
    siege.hostile.say(place, what)
    assert until(lambda: siege.refused() == 1)
    siege.assert_alive()


def test_a_host_cannot_send_with_another_hosts_address(siege: Siege) -> None:
    """Its own frontend does not keep it from that, so the backend does."""
    siege.hostile.add(0, MAC)
    stolen = ethernet(EVERYBODY, siege.honest.tap.mac, MARKER)
    own = ethernet(EVERYBODY, MAC, MARKER)
    with raw_socket(siege.world.outside, "veth0") as outside:
        siege.hostile.send(0, NO_OFFLOADS + stolen)
        siege.hostile.send(0, NO_OFFLOADS + own, offset=4096)
        assert frames_seen(outside, MARKER) == [own]
    assert siege.world.backend.counters(siege.link).dropped_spoofed == 1


def test_nobody_sends_before_there_is_an_instance(siege: Siege) -> None:
    siege.hostile.send(3, NO_OFFLOADS + ethernet(EVERYBODY, MAC, MARKER))
    assert until(lambda: siege.world.backend.counters(siege.link).dropped_nobody == 1)


def test_who_does_not_take_its_frames_is_the_only_one_to_lose_some(siege: Siege) -> None:
    siege.hostile.add(0, MAC)
    frame = ethernet(MAC, siege.honest.tap.mac, bytes(1400))
    with raw_socket(siege.honest.namespace, "eth0") as honest:

        def is_full() -> bool:
            for _ in range(100):
                honest.send(frame)
            return siege.world.backend.counters(siege.link).dropped_no_room > 0

        assert until(is_full)
    siege.assert_alive()


def test_random_messages(siege: Siege) -> None:
    random_ = random.Random(3)
    kinds = [lib.NET_ADD, lib.NET_REMOVE, lib.NET_SEND, lib.NET_RETURN]
    siege.hostile.add(0, MAC)
    for _ in range(100):
        place = random_.getrandbits(random_.choice([8, 48, 64]))
        siege.hostile.say(place, random_.choice(kinds) | random_.getrandbits(8) << 8)
    assert until(lambda: siege.refused() > 0)
    siege.assert_alive()


def test_junk_all_over_the_link_of_a_backend(siege: Siege) -> None:
    siege.hostile.add(0, MAC)
    scribble(siege.hostile.memory)
    siege.assert_alive()


def test_junk_all_over_the_link_of_a_frontend(world: World) -> None:
    host = world.host(SIZE)
    instance = world.instance(host)
    beside = world.instance(world.host())
    assert host.file is not None
    noise = threading.Thread(target=scribble, args=(FileMemory(host.file),))
    noise.start()
    with raw_socket(instance.namespace, "eth0") as inside_it:
        while noise.is_alive():
            inside_it.send(ethernet(EVERYBODY, instance.tap.mac, MARKER))
    noise.join()
    host.frontend.counters()
    ping(beside.namespace, world.outside_address)


def scribble(memory: FileMemory) -> None:
    """Random bytes everywhere, more of them where the channels are."""
    random_ = random.Random(4)
    for _ in range(ROUNDS_OF_JUNK):
        memory.buffer[:] = random_.randbytes(memory.bytes)
        for _ in range(1000):
            at = random_.randrange(0, 32768, 8)
            memory.buffer[at : at + 8] = random_.randbytes(8)


def test_a_link_that_is_not_there_is_not_opened(world: World) -> None:
    path = world.folder / "link"
    path.write_bytes(random.Random(5).randbytes(SIZE.bytes))
    memory = FileMemory(path)
    with pytest.raises(MissingError, match="no link of generation 1"):
        Frontend(memory, GENERATION)
    with pytest.raises(MissingError, match="no link of generation 1"):
        world.backend.add_link(memory, GENERATION)
    make_link(memory, SIZE, GENERATION)
    for at in (0, 8, 12, 16, 24, 32):
        before = bytes(memory.buffer[at : at + 4])
        memory.buffer[at : at + 4] = b"\xff\xff\xff\x7f"
        with pytest.raises(MissingError):
            world.backend.add_link(memory, GENERATION)
        memory.buffer[at : at + 4] = before
    world.backend.remove_link(world.backend.add_link(memory, GENERATION))
