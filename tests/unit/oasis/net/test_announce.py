"""An instance that comes to a NIC is announced there, so that switches send its frames that way."""

from __future__ import annotations

import struct

from tiermem.native._net import ffi, lib

from tests.unit.oasis.net.frames import EVERYBODY, ethernet, frames_seen, raw_socket
from tests.unit.oasis.net.world import World

MAC = 0x02AABBCCDDEE
RARP = 0x8035


def test_the_frame_is_a_request_of_rarp_about_itself() -> None:
    made = ffi.new("uint8_t[]", lib.NET_ANNOUNCE_BYTES)
    lib.net_announce_frame(made, MAC)
    frame = bytes(made)
    mac = MAC.to_bytes(6, "big")
    about = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3) + mac + bytes(4) + mac + bytes(4)
    assert frame == bytes(10) + ethernet(EVERYBODY, MAC, about, RARP)


def test_it_is_sent_when_an_instance_is_added(world: World) -> None:
    host = world.host()
    with raw_socket(world.outside, "veth0") as outside:
        instance = world.instance(host, mac="02:aa:bb:cc:dd:ee")
        (seen,) = frames_seen(outside, MAC.to_bytes(6, "big"))
    assert instance.tap.mac == MAC
    assert seen[6:12] == MAC.to_bytes(6, "big")
    assert seen[12:14] == RARP.to_bytes(2, "big")
