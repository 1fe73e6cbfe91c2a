"""Frames that a backend took along when it fell silent, sent once more by way of another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiermem.native._net import ffi, lib

from tests.unit.oasis.net.world import READY_S, Host, Instance, World, socket_in

RING_BYTES = int(lib.NET_RING_BYTES_MIN)
FRAMES = 20
PORT = 7
HEAD_BYTES = int(lib.NET_UNSENT_HEAD_BYTES)


def parted(copied: bytes) -> list[bytes]:
    """The frames that were copied, each from behind its length."""
    found = []
    while copied:
        end = HEAD_BYTES + int.from_bytes(copied[:HEAD_BYTES], "little")
        found.append(copied[HEAD_BYTES:end])
        copied = copied[end:]
    return found


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, 2), st.integers(24, 9000)),
            st.tuples(st.just("free"), st.integers(0, 40), st.just(0)),
        ),
        max_size=120,
    )
)
def test_what_was_put_and_not_freed_is_unsent(steps: list[tuple[str, int, int]]) -> None:
    """Over the end of the ring and beyond, and frames of others are left out."""
    memory = ffi.new("uint8_t[]", RING_BYTES)
    ring = ffi.new("struct net_ring *", {"base": memory, "bytes": RING_BYTES})
    unsent = ffi.new("struct net_unsent *")
    there: list[tuple[int, int, int, bytes]] = []
    for number, (what, which, length) in enumerate(steps):
        if what == "put" and (into := lib.net_ring_room(ring)) != ffi.NULL:
            content = bytes([number % 251]) * length
            ffi.memmove(into, content, length)
            offset = lib.net_ring_put(ring, length)
            lib.net_unsent_add(unsent, {"offset": offset, "length": length, "instance": which})
            there.append((offset, length, which, content))
        elif what == "free" and there:
            last = min(which, len(there) - 1)
            assert lib.net_ring_free(ring, *there[last][:2]) == 0
            lib.net_unsent_forget(unsent, ring)
            there = there[last + 1 :]
    for instance in range(3):
        size = lib.net_unsent_copy(unsent, ring, instance, ffi.NULL, 0)
        into = ffi.new("uint8_t[]", size + 1)
        assert lib.net_unsent_copy(unsent, ring, instance, into, size) == size
        wanted = [content for _, _, which, content in there if which == instance]
        assert parted(bytes(ffi.buffer(into, size))) == wanted
        if wanted:
            short = HEAD_BYTES * (len(wanted) - 1) + sum(len(one) for one in wanted[:-1])
            assert lib.net_unsent_copy(unsent, ring, instance, into, size - 1) == short


def test_of_too_many_the_oldest_are_forgotten() -> None:
    count = lib.NET_UNSENT_MAX + 10
    memory = ffi.new("uint8_t[]", 64 * (count + 1) + lib.NET_FRAME_BYTES_MAX)
    ring = ffi.new("struct net_ring *", {"base": memory, "bytes": len(memory) // 64 * 64})
    unsent = ffi.new("struct net_unsent *")
    for number in range(count):
        ffi.cast("uint32_t *", lib.net_ring_room(ring))[0] = number
        offset = lib.net_ring_put(ring, 24)
        lib.net_unsent_add(unsent, {"offset": offset, "length": 24, "instance": 0})
    into = ffi.new("uint8_t[]", lib.net_unsent_copy(unsent, ring, 0, ffi.NULL, 0))
    lib.net_unsent_copy(unsent, ring, 0, into, len(into))
    numbers = [int.from_bytes(one[:4], "little") for one in parted(bytes(ffi.buffer(into)))]
    assert numbers == list(range(10, count))


@contextmanager
def lost(world: World, instance: Instance, host: Host) -> Iterator[list[bytes]]:
    """Datagrams that the instance sends once nobody serves its link any more; `outside` can
    receive them at the socket that is open meanwhile."""
    sent = [b"%d" % number for number in range(FRAMES)]
    with socket_in(instance.namespace) as sender:
        sender.connect((world.outside_address, PORT))
        sender.send(b"first")  # ARP is over when this one has come
        yield sent
        world.backend.remove_link(host.link)
        before = host.frontend.counters().tx_frames
        for data in sent:
            sender.send(data)
        deadline_s = time.monotonic() + READY_S
        while host.frontend.counters().tx_frames < before + FRAMES:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)


@pytest.mark.parametrize("is_changed", [False, True], ids=["as sent", "changed by the peer"])
def test_they_go_out_by_the_next_backend_in_their_order(world: World, is_changed: bool) -> None:
    """Once more checked, for the peer could write where they lay."""
    first, second = world.host(), world.host()
    instance = world.instance(first)
    with socket_in(world.outside) as outside:
        outside.bind((world.outside_address, PORT))
        with lost(world, instance, first) as sent:
            assert outside.recv(100) == b"first"
        first.frontend.remove(instance.number)
        frames = first.frontend.unsent(instance.number)
        assert len(parted(frames)) == FRAMES
        if is_changed:
            mac = bytes.fromhex(instance.tap.settings.mac.replace(":", ""))
            frames = frames.replace(mac, bytes.fromhex("020000000099"), 1)
        number = second.frontend.add(instance.tap)
        second.frontend.send_again(number, frames)
        second.frontend.wait_ready(number, READY_S)
        for data in sent[is_changed:]:
            assert outside.recv(100) == data
        counters = second.frontend.counters()
        assert (counters.tx_again, counters.dropped_spoofed) == (FRAMES, is_changed)
        second.frontend.remove(number)
